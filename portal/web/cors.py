"""Calls from other origins: those of ALLOWED_ORIGINS, only for the JSON API, and never with a cookie."""

import re

from flask import Flask
from flask_cors import CORS

from portal.settings import Settings

NOT_WEBHOOKS = "(?!.*webhook)"  # only Stripe calls them, not a browser
READABLE = ("Retry-After", "X-Request-Id")


def init_app(app: Flask, settings: Settings) -> None:
    """Allow browsers of the configured origins to call. Without any, no header is sent, and browsers refuse."""
    if not settings.allowed_origins:
        return
    CORS(
        app,
        resources=[f"{path}/{NOT_WEBHOOKS}.*" for path in ("/api", "/v1", settings.api_prefix)],
        origins=[re.compile(rf"{re.escape(origin)}\Z", re.IGNORECASE) for origin in settings.allowed_origins],
        methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        expose_headers=list(READABLE),
        supports_credentials=False,
        always_send=False,
        allow_private_network=False,
        max_age=600,
    )
