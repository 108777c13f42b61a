"""Stripe's errors, with Stripe's words."""

from typing import Any


class StripeError(Exception):
    """An answer with an error in it; what the request did before is undone, unless keeps is set."""

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
        """The body, without the fields that don't apply."""
        return {"error": {name: value for name, value in self.body.items() if value is not None}}


class CardError(StripeError):
    """A payment that was refused: the failed attempt stays on record."""

    status = 402
    type = "card_error"
    keeps = True


class IdempotencyError(StripeError):
    """A key that was used before with other parameters."""

    type = "idempotency_error"


class ApiError(StripeError):
    """Stripe's own fault."""

    status = 500
    type = "api_error"


def missing(kind: str, id_: str, param: str | None = None, hint: str = "") -> StripeError:
    """No such object: 404 when the address names it, 400 when a parameter does."""
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
