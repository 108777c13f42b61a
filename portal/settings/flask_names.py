"""Our settings under the names that Flask and its extensions read."""

from datetime import timedelta
from typing import Any

from portal.settings.model import Settings

MAX_BODY = 1024 * 1024  # bytes; no valid request is larger


def flask_config(settings: Settings) -> dict[str, Any]:
    """Return the values for `app.config`."""
    return {
        "SECRET_KEY": settings.secret_key,
        "DEBUG": settings.debug,
        "MAX_CONTENT_LENGTH": MAX_BODY,
        "SQLALCHEMY_DATABASE_URI": settings.sqlalchemy_url,
        "PREFERRED_URL_SCHEME": settings.base_url.partition(":")[0],
        "PERMANENT_SESSION_LIFETIME": timedelta(days=30),
        **_cookies(settings),
        **_tokens(settings),
        **_limits(settings),
    }


def _cookies(settings: Settings) -> dict[str, Any]:
    """Return cookie settings. Secure cookies have names with __Host-, so that no other site of the domain can
    set them.
    """
    secure = settings.base_url.startswith("https://")
    return {
        "SESSION_COOKIE_NAME": "__Host-session" if secure else "session",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
    }


def _tokens(settings: Settings) -> dict[str, Any]:
    """Return the settings of the JSON API's access and refresh tokens."""
    return {
        "JWT_SECRET_KEY": settings.jwt_secret_key,
        "JWT_ALGORITHM": settings.jwt_algorithm,
        "JWT_ACCESS_TOKEN_EXPIRES": settings.access_lifetime,
        "JWT_REFRESH_TOKEN_EXPIRES": settings.refresh_lifetime,
    }


def _limits(settings: Settings) -> dict[str, Any]:
    """Return the rate limit settings. Limits are shared through Redis if there is one; while it is down, each
    process counts separately.
    """
    return {
        "RATELIMIT_STORAGE_URI": settings.redis_url or "memory://",
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": settings.redis_url is not None,
        "RATELIMIT_HEADERS_ENABLED": True,
    }
