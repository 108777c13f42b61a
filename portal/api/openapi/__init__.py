"""The documentation of the JSON API, as OpenAPI and as a page, both generated from the calls."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the document and the page."""
    from portal.api import calls
    from portal.api.openapi import page, views

    app.jinja_env.filters["code"] = page.code
    calls.register(app, views.blueprint)
