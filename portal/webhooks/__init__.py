"""Webhooks: views (two lanes, one body) → inbox → handlers (one dict: event type → handlers)."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the endpoints (exempt from CSRF, because each delivery is signed) and the sweep after a crash."""
    from portal import jobs
    from portal.extensions import csrf, limiter
    from portal.webhooks import inbox, masking, replays
    from portal.webhooks.views import blueprint

    jobs.tasks |= {"events": replays.sweep, "erasure": masking.erase, "event payloads": masking.remove_old}
    jobs.kinds[inbox.KIND] = jobs.Kind(inbox.handle_stored, replays.waiting, replays.make_due)

    csrf.exempt(blueprint)
    limiter.exempt(blueprint)  # Stripe is never rate limited
    app.register_blueprint(blueprint)
