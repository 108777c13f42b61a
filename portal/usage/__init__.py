"""Metered usage: recording, limits, and the run of the 1st."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the API, which carries no cookie and so needs no CSRF token."""
    from portal.extensions import csrf
    from portal.usage import api

    csrf.exempt(api.blueprint)
    app.register_blueprint(api.blueprint)
