"""Creating, listing and revoking API keys, and the API that reads them."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the page and the API."""
    from portal.api import calls
    from portal.keys import api, customers_api, views

    app.register_blueprint(views.blueprint)
    calls.register(app, api.blueprint, api.cached, customers_api.blueprint)
