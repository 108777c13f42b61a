"""Metered usage: recording, limits, and the run of the 1st."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the API."""
    from portal import calls
    from portal.usage import api

    calls.register(app, api.blueprint)
