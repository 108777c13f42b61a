"""Shared code of every page: security headers, static files with a content hash, and template filters."""

import hashlib
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date
from flask import Flask, Response, g, request
from flask_login import current_user
from werkzeug.routing import IntegerConverter, Map
from whitenoise import WhiteNoise

from portal import money
from portal.enums import Mode
from portal.extensions import ROOT
from portal.models import ReversalState
from portal.settings import Settings
from portal.settings.version import __version__

STATIC = ROOT / "static"
YEAR_SECONDS = 365 * 24 * 3600
BIGGEST_ID = 2**63 - 1


class RowId(IntegerConverter):
    """A URL's number within the range of row ids; larger ones don't match."""

    def __init__(self, addresses: Map) -> None:
        super().__init__(addresses, max=BIGGEST_ID)


def content_security_policy(checkout_origins: tuple[str, ...]) -> str:
    """Return the policy: only our own files; forms may redirect to Stripe's hosted pages (Chromium checks
    redirects too).
    """
    own = "; ".join(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect", "font"))
    targets = " ".join(("'self'", *checkout_origins))
    return f"default-src 'none'; {own}; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"


def private(response: Response) -> Response:
    """Keep a response with a key or an order out of every cache and Referer."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@cache
def content_hash(filename: str) -> str:
    """Return the first hex digits of a static file's SHA-256. A missing file fails here, not in the browser."""
    return hashlib.sha256((STATIC / filename).read_bytes()).hexdigest()[:12]


def zone() -> str:
    """Return the reader's time zone, queried once per request; while sending a mail, the recipient's."""
    if "zone" not in g:
        g.zone = getattr(current_user, "timezone", None) or "UTC"
    name: str = g.zone
    return name


def date_text(value: datetime) -> str:
    """Return 21 December 2026, in the reader's time zone."""
    return _day_text(value.astimezone(ZoneInfo(zone())).date())


@lru_cache(maxsize=4096)  # lists repeat a few days, and Babel parses its pattern each time
def _day_text(day: date) -> str:
    return format_date(day, "d MMMM y", locale="en")


def datetime_text(value: datetime) -> str:
    """Return 21 December 2026, 14:05 UTC, in the reader's time zone."""
    local = value.astimezone(ZoneInfo(zone()))
    name = local.tzname() or ""
    # Zones without an abbreviation (São Paulo, Dubai) show their offset.
    return f"{_day_text(local.date())}, {local:%H:%M} {name if name.isalpha() else f'UTC{name}'}"


def money_text(amount: int, currency: str, *, short: bool = False) -> str:
    """Return $49.99 and −$5, as `money.text` does, with a typographic minus."""
    return money.text(amount, currency, short=short).replace("-", "−")


def whole_text(value: int) -> str:
    """Return a whole number with separators: 5,500 and −1,000."""
    return f"{value:,}".replace("-", "−")


def signed_text(value: int) -> str:
    """Return a change with its sign: +5,500 and −1,000."""
    return f"{value:+,}".replace("-", "−")


def rfc3339(value: datetime | None) -> str | None:
    """Return 2026-12-21T14:05:00Z, for programs."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def init_app(app: Flask, settings: Settings) -> None:
    """Register headers, filters and static files."""
    _send_headers(app, settings)
    _serve_static(app)
    app.url_map.converters["int"] = RowId
    app.jinja_env.filters.update(
        money=money_text,
        cycle=money.cycle,
        every=money.every,
        money_short=lambda amount, currency: money_text(amount, currency, short=True),
        date=date_text,
        datetime=datetime_text,
        day=lambda text: date_text(datetime.fromisoformat(text)),  # of a mail's facts, which are JSON
        iso=rfc3339,
        code_beside=lambda currency: "" if money.shows_code(currency) else f"{currency.upper()} ",
        whole=whole_text,
        signed=signed_text,
        reversal_state=ReversalState,
    )

    @app.context_processor
    def _globals() -> dict[str, Any]:
        request_id = g.get("request_id", "")
        return {
            "brand": "Portal",
            "version": __version__,
            "mode": Mode.LIVE,
            "request_id": request_id,
            "path": request.path,
        }


def _send_headers(app: Flask, settings: Settings) -> None:
    """Add the security headers to every response, unless a view has set its own."""
    headers = {
        "Content-Security-Policy": content_security_policy(tuple(settings.checkout_origins)),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        # Pages show one person at one moment, so going back must request them again.
        "Cache-Control": "no-store",
    }
    if settings.base_url.startswith("https://"):
        headers["Strict-Transport-Security"] = f"max-age={YEAR_SECONDS}; includeSubDomains"

    @app.after_request
    def _headers(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response


def _serve_static(app: Flask) -> None:
    """Serve static files, each with its content hash, cached for a year."""

    @app.url_defaults
    def _version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values:
            values["v"] = content_hash(values["filename"])

    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=STATIC,
        prefix="static/",
        max_age=YEAR_SECONDS,
        mimetypes={".js": "text/javascript"},
        add_headers_function=lambda headers, _path, _url: headers.add_header("X-Content-Type-Options", "nosniff"),
    )
