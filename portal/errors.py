"""The errors that people are told about, and the one place where they become pages or problem+json.

A verb raises a PortalError with words for the customer; what the operator should know goes to `log`.
"""

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

from portal.extensions import db, limiter
from portal.settings import current_settings

log = structlog.get_logger()

# Answered to programs; everything else is a page.
JSON_PATHS = (
    "/api/",
    "/v1/",
    "/stripe/webhook",
    "/billing/success/state",
    "/credits/success/state",
    "/healthz",
    "/readyz",
)
SUCCESS_PATHS = "/api/credits/"  # its callers look for `success` in every answer (seed 3)
RETRY_SECONDS = 30

# What Werkzeug says by itself, in our words: (title, detail).
WORDS: dict[int, tuple[str, str]] = {
    400: (
        "That request was not complete",
        "Something in it was missing or did not fit. Go back and try again.",
    ),
    401: ("Please sign in", "This needs a signed-in account or an API key."),
    404: ("Page not found", "There is nothing here, or it belongs to another account."),
    405: ("That does not work this way", "This address does not take that kind of request."),
    413: ("That is too large", "The request was larger than this address accepts."),
    415: ("That format is not understood", "This address takes application/json."),
    429: ("Too many requests", "Please wait a moment, then try again."),
    500: (
        "Something went wrong on our side",
        "It was logged, and we are told. Please try again in a moment.",
    ),
    503: ("Back in a moment", "The portal cannot reach its database just now. Please try again shortly."),
}


class PortalError(Exception):
    """The root of every error with words for the customer.

    `money` says whether money moved, only where that is known. `extra` joins the problem+json body.
    """

    status = 400
    code = "bad_request"
    title = "That did not work"

    def __init__(
        self,
        detail: str,
        *,
        money: str | None = None,
        action: tuple[str, str] | None = None,
        errors: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.money = money
        self.action = action  # (url, label) of the one thing to do next
        self.errors = errors or {}
        self.extra = extra


class InvalidInput(PortalError):
    """A field was refused; `errors` names it."""

    code = "invalid_input"
    title = "Please check what you entered"


class NotFound(PortalError):
    """Nothing there, or somebody else's: the two are never told apart."""

    status = 404
    code = "not_found"
    title = "Page not found"


class Conflict(PortalError):
    """The state of things does not allow it now."""

    status = 409
    code = "conflict"
    title = "That is not possible now"


class Unauthorised(PortalError):
    """No key and no access token, or one that is unknown, expired or revoked."""

    status = 401
    code = "unauthorised"
    title = "API key or access token needed"


class ScopeMissing(PortalError):
    """The key was made for other calls than this one."""

    status = 403
    code = "scope_missing"
    title = "This key is not allowed to do that"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The key needs the scope `{scope}`. Make one that has it on the keys page.", scope=scope)


class OperatorScopeMissing(PortalError):
    """The operator key was made for other calls than this one."""

    status = 403
    code = "scope_missing"
    title = "This key is not allowed to do that"

    def __init__(self, scope: str) -> None:
        words = f"The operator key needs the scope `{scope}`. Make one that has it: `flask operator-keys create`."
        super().__init__(words, scope=scope)


class TooManyTries(PortalError):
    """Passwords were tried, or mails asked for, too often from here; `retry_after` seconds is the true rest."""

    status = 429
    code = "too_many_requests"
    title = "Too many attempts"

    def __init__(self, retry_after: int) -> None:
        words = f"Try again in {wait_words(retry_after)}. A link that we email you works at any time."
        super().__init__(words, action=("/password/forgot", "Email me a link"))
        self.retry_after = retry_after


class Suspended(PortalError):
    """The customer is suspended; keys answer this until a payment, or an admin, lifts it."""

    status = 402
    code = "suspended"
    title = "Account suspended"


class StripeUnavailable(PortalError):
    """Stripe did not answer, or not with sense; whether it acted is not known.

    `failure` says why the same idempotency key will not tell either; empty where repeating the call does.
    """

    status = 503
    code = "stripe_unavailable"
    title = "Stripe is not answering"

    def __init__(self, detail: str, *, failure: str = "", **kwargs: Any) -> None:
        super().__init__(detail, **kwargs)
        self.failure = failure


class StripeRefused(PortalError):
    """Stripe answered no: nothing happened there. `stripe_code` is its own code for why."""

    status = 502
    code = "stripe_refused"
    title = "Stripe did not accept that"

    def __init__(self, detail: str, *, stripe_code: str = "", **kwargs: Any) -> None:
        super().__init__(detail, **kwargs)
        self.stripe_code = stripe_code


def wants_json() -> bool:
    """Whether this request came through the JSON API."""
    return request.path.startswith((*JSON_PATHS, current_settings().api_prefix + "/"))


def init_app(app: Flask) -> None:
    """Map every error once: problem+json for the API, a page for people."""
    app.register_error_handler(PortalError, _portal_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)  # down, locked, or out of time
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


def wait_words(seconds: int) -> str:
    """Return a waiting time in words, never too short: "45 seconds", "15 minutes"."""
    if seconds < 2 * 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes < 2 * 60 else f"{-(-minutes // 60)} hours"


def _rest_of_limit() -> int:
    """Return how many seconds are left of the window that Flask-Limiter found full."""
    full = limiter.current_limit
    return max(1, math.ceil(full.reset_at - time.time())) if full is not None else RETRY_SECONDS


def _database_error(error: OperationalError | InterfaceError) -> ResponseReturnValue:
    log.error("database_error", error=type(error.orig).__name__, exc_info=error)
    _forget_reader()
    title, detail = WORDS[503]
    return answer(503, "database_unavailable", title, detail, {"Retry-After": str(RETRY_SECONDS)})


def _not_storable(error: DataError) -> ResponseReturnValue:
    """Input that no column takes: a NUL, or a number or text beyond all bounds."""
    log.info("input_not_storable", error=type(error.orig).__name__)
    db.session.rollback()  # the page asks the database who reads it
    title, detail = WORDS[400]
    return answer(400, "invalid_input", title, detail)


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.error("unexpected_error", error=type(error).__name__, exc_info=error)
    _forget_reader()
    title, detail = WORDS[500]
    return answer(500, "internal_error", title, detail)


def _forget_reader() -> None:
    """Render the error's page as for a stranger: asking who is signed in may be what failed."""
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
    """The same error as problem+json (RFC 9457) or as a page."""
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
