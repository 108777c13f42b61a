"""Stripe's errors, with Stripe's messages."""

from typing import Any


class StripeError(Exception):
    """An error response. What the request did before is rolled back, unless `keeps` is set."""

    status = 400
    type = "invalid_request_error"
    keeps = False

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = more.pop("status", self.status)
        self.body = {"type": self.type, "message": message, "code": code, "param": param, **more}
        if code:
            self.body["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"

    def answer(self) -> dict[str, Any]:
        """Return the body, without fields that don't apply."""
        return {"error": {name: value for name, value in self.body.items() if value is not None}}


class CardError(StripeError):
    """A payment that was declined. The failed attempt stays recorded."""

    status = 402
    type = "card_error"
    keeps = True


class IdempotencyError(StripeError):
    """A key that was already used with other parameters."""

    type = "idempotency_error"


class ApiError(StripeError):
    """An error of Stripe's own."""

    status = 500
    type = "api_error"


def missing(kind: str, id_: str, param: str | None = None, hint: str = "") -> StripeError:
    """Return the error for a missing object: 404 if the URL names it, 400 if a parameter does."""
    words = f"No such {WORDS.get(kind, kind)}: '{id_}'{hint}"
    return StripeError(words, code="resource_missing", param=param or "id", status=400 if param else 404)


WORDS = {
    "payment_method": "PaymentMethod",
    "setup_intent": "setupintent",
    "checkout.session": "checkout.session",
    "webhook_endpoint": "webhook endpoint",
    "billing_portal.configuration": "configuration",
    "billing_portal.session": "portal session",
    "invoice_payment": "invoice payment",
    "subscription_item": "subscription item",
}
