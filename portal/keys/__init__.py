"""Minting, listing and revoking API keys, and what they answer."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the page and the API; the API carries no cookie, so it needs no CSRF token."""
    from portal.extensions import csrf
    from portal.keys import api, views

    csrf.exempt(api.blueprint)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(api.blueprint)
