"""What the JSON API takes and answers, as a document and as a page, both read off the calls themselves."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the document and the page."""
    from portal import calls
    from portal.openapi import page, views

    app.jinja_env.filters["code"] = page.code
    calls.register(app, views.blueprint)
