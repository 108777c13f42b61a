"""Minting, listing and revoking API keys, and what they answer."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the page and the API."""
    from portal import calls
    from portal.keys import api, customers_api, views

    app.register_blueprint(views.blueprint)
    calls.register(app, api.blueprint, api.cached, customers_api.blueprint)
