"""Errors as responses: a page, or problem+json (RFC 9457)."""

import math
import time
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from werkzeug.exceptions import HTTPException

from portal.errors import PortalError, wait_words
from portal.extensions import db, limiter
from portal.settings import current_settings

log = structlog.get_logger()

# These get problem+json; everything else gets a page.
JSON_PATHS = (
    "/api/",
    "/v1/",
    "/stripe/webhook",
    "/billing/success/state",
    "/credits/success/state",
    "/healthz",
    "/readyz",
    "/metrics",
)
SUCCESS_PATHS = "/api/credits/"  # its clients expect `success` in every response
RETRY_SECONDS = 30

# Our texts for Werkzeug's own errors: (title, detail).
WORDS: dict[int, tuple[str, str]] = {
    400: (
        "That request was not complete",
        "Something in it was missing or did not fit. Go back and try again.",
    ),
    401: ("Please sign in", "This needs a signed-in account or an API key."),
    404: ("Page not found", "There is nothing here, or it belongs to another account."),
    405: ("That does not work this way", "This address does not take that kind of request."),
    408: ("That took too long", "The request did not arrive in time. Nothing was changed."),
    413: ("That is too large", "The request was larger than this address accepts."),
    415: ("That format is not understood", "This address takes application/json."),
    429: ("Too many requests", "Please wait a moment, then try again."),
    500: (
        "Something went wrong on our side",
        "It was logged, and we are told. Please try again in a moment.",
    ),
    503: ("Back in a moment", "The portal cannot reach its database just now. Please try again shortly."),
}


def wants_json() -> bool:
    """Return whether this request is for the JSON API."""
    return request.path.startswith((*JSON_PATHS, current_settings().api_prefix + "/"))


def init_app(app: Flask) -> None:
    """Register the error handlers: problem+json for the API, a page for people."""
    app.register_error_handler(PortalError, _portal_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)  # down, locked, or timed out
    app.register_error_handler(InterfaceError, _database_error)
    app.register_error_handler(DataError, _not_storable)
    app.register_error_handler(Exception, _unexpected)


def _portal_error(error: PortalError) -> ResponseReturnValue:
    wait = RETRY_SECONDS if error.status == HTTPStatus.SERVICE_UNAVAILABLE else getattr(error, "retry_after", None)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    extra = dict(error.extra)
    if error.errors:
        extra["errors"] = error.errors
    return answer(error.status, error.code, error.title, error.detail, headers, error.money, error.action, extra)


def _csrf_error(error: CSRFError) -> ResponseReturnValue:
    detail = "The form was too old or came from elsewhere. Go back, reload the page and send it again."
    return answer(400, "csrf", "That form has expired", detail, money="Nothing was changed.")


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error
    status = error.code or 500
    title, detail = WORDS.get(status, (error.name, error.description or ""))
    headers = {name: value for name, value in error.get_headers() if name.lower() in ("retry-after", "allow")}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.setdefault("Retry-After", str(_rest_of_limit()))
        detail = f"Try again in {wait_words(int(headers['Retry-After']))}."
    return answer(status, HTTPStatus(status).name.lower(), title, detail, headers)


def _rest_of_limit() -> int:
    """Return the remaining seconds of the window that Flask-Limiter found full."""
    full = limiter.current_limit
    return max(1, math.ceil(full.reset_at - time.time())) if full is not None else RETRY_SECONDS


def _database_error(error: OperationalError | InterfaceError) -> ResponseReturnValue:
    log.error("database_error", error=type(error.orig).__name__, exc_info=error)
    _forget_reader()
    title, detail = WORDS[503]
    return answer(503, "database_unavailable", title, detail, {"Retry-After": str(RETRY_SECONDS)})


def _not_storable(error: DataError) -> ResponseReturnValue:
    """Refuse input that no column can store: a NUL, or a number or text that is too large."""
    log.info("input_not_storable", error=type(error.orig).__name__)
    db.session.rollback()  # rendering the page queries the reader
    title, detail = WORDS[400]
    return answer(400, "invalid_input", title, detail)


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.error("unexpected_error", error=type(error).__name__, exc_info=error)
    _forget_reader()
    title, detail = WORDS[500]
    return answer(500, "internal_error", title, detail)


def _forget_reader() -> None:
    """Render the error page as for a visitor, because the query for the signed-in user may be what failed."""
    g.pop("user_session", None)
    g._login_user = current_app.login_manager.anonymous_user()  # type: ignore[attr-defined]


def answer(
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    money: str | None = None,
    action: tuple[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    """Return the same error as problem+json (RFC 9457) or as a page."""
    if wants_json():
        body = {"status": status, "title": title, "detail": detail, "code": code, "request_id": g.request_id}
        if request.path.startswith(SUCCESS_PATHS):
            body["success"] = False
        response = jsonify(body | (extra or {}))
        response.content_type = "application/problem+json"
    else:
        url, label = action or (None, None)
        page = render_template(
            "errors/error.html",
            status=status,
            title=title,
            detail=detail,
            money=money,
            action_url=url,
            action_label=label,
            retry_in=wait_words(int(headers["Retry-After"])) if headers and "Retry-After" in headers else None,
        )
        response = Response(page)
    response.status_code = status
    response.headers.update(headers or {})
    return response
