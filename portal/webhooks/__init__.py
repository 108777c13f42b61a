"""Webhooks: views (two lanes, one body) → inbox → handlers (one dict: event type → function)."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the endpoints (exempt from CSRF: each delivery is signed) and the sweep of what a crash left."""
    from portal import jobs
    from portal.extensions import csrf, limiter
    from portal.webhooks import erasure, replaying
    from portal.webhooks.views import blueprint

    jobs.chores |= {"events": replaying.sweep, "erasure": erasure.run}

    csrf.exempt(blueprint)
    limiter.exempt(blueprint)  # Stripe is never told to wait
    app.register_blueprint(blueprint)
