"""The errors that people are told about.

Functions raise a PortalError with a message for the customer; details for the operator go to the log.
`portal.errors.responses` renders them as pages and problem+json, `portal.commands` as text on the command line.
"""

from typing import Any


class PortalError(Exception):
    """The base of every error with a message for the customer.

    `money` says whether money moved, only if that is known. `extra` is added to the problem+json body.
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
        self.action = action  # (url, label) of the next step
        self.errors = errors or {}
        self.extra = extra

    @property
    def for_operator(self) -> str:
        """The message on the command line."""
        return self.detail


class InvalidInput(PortalError):
    """A field is invalid; `errors` names it."""

    code = "invalid_input"
    title = "Please check what you entered"


class NotFound(PortalError):
    """The object does not exist or belongs to someone else; the response is the same."""

    status = 404
    code = "not_found"
    title = "Page not found"


class Conflict(PortalError):
    """The current state does not allow it."""

    status = 409
    code = "conflict"
    title = "That is not possible now"


class Unauthorized(PortalError):
    """No key or access token, or one that is unknown, expired or revoked."""

    status = 401
    code = "unauthorised"
    title = "API key or access token needed"


class ScopeMissing(PortalError):
    """The key lacks the scope of this call."""

    status = 403
    code = "scope_missing"
    title = "This key is not allowed to do that"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The key needs the scope `{scope}`. Make one that has it on the keys page.", scope=scope)


class OperatorScopeMissing(PortalError):
    """The operator key lacks the scope of this call."""

    status = 403
    code = "scope_missing"
    title = "This key is not allowed to do that"

    def __init__(self, scope: str) -> None:
        words = f"The operator key needs the scope `{scope}`. Make one that has it: `flask operator-keys create`."
        super().__init__(words, scope=scope)


class TooManyTries(PortalError):
    """Too many password attempts or requests for mails; `retry_after` is the exact remaining time in seconds."""

    status = 429
    code = "too_many_requests"
    title = "Too many attempts"

    def __init__(self, retry_after: int) -> None:
        words = f"Try again in {wait_words(retry_after)}. A link that we email you works at any time."
        super().__init__(words, action=("/password/forgot", "Email me a link"))
        self.retry_after = retry_after


class Suspended(PortalError):
    """The customer is suspended. Keys get this error until a payment or an admin lifts it."""

    status = 402
    code = "suspended"
    title = "Account suspended"


class StripeUnavailable(PortalError):
    """Stripe did not respond, or not usefully. It is unknown whether it acted.

    `failure` says why repeating the idempotency key will not tell; empty if it will. `operator` is the message
    on the command line, if the operator can correct the cause. `outcome` is what the gateway counts it as.
    """

    status = 503
    code = "stripe_unavailable"
    outcome = "unavailable"
    title = "Stripe is not answering"

    def __init__(self, detail: str, *, failure: str = "", operator: str = "", **kwargs: Any) -> None:
        super().__init__(detail, **kwargs)
        self.failure = failure
        self._operator = operator

    @property
    def for_operator(self) -> str:
        return self._operator or self.detail


class StripeRefused(PortalError):
    """Stripe refused, and nothing happened there. `stripe_code` is its own code for the reason, `param` the
    parameter that it is about.
    """

    status = 502
    code = "stripe_refused"
    title = "Stripe did not accept that"

    def __init__(self, detail: str, *, stripe_code: str = "", param: str = "", **kwargs: Any) -> None:
        super().__init__(detail, **kwargs)
        self.stripe_code, self.param = stripe_code, param


def wait_words(seconds: int) -> str:
    """Return a waiting time as text, rounded up: "45 seconds", "15 minutes"."""
    if seconds < 2 * 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes < 2 * 60 else f"{-(-minutes // 60)} hours"
