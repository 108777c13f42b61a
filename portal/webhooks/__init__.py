"""Webhooks: views (two lanes, one body) → inbox → handlers (one dict: event type → function)."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the endpoints; they are exempt from CSRF, because each delivery is signed."""
    from portal.extensions import csrf
    from portal.webhooks.views import blueprint

    csrf.exempt(blueprint)
    app.register_blueprint(blueprint)
