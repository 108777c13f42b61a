"""Webhooks: views (two lanes, one body) → inbox → handlers (one dict: event type → function)."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the endpoints (exempt from CSRF: each delivery is signed) and the sweep of what a crash left."""
    from portal import jobs
    from portal.extensions import csrf
    from portal.webhooks import inbox
    from portal.webhooks.views import blueprint

    jobs.chores["events"] = inbox.sweep

    csrf.exempt(blueprint)
    app.register_blueprint(blueprint)
