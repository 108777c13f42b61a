"""Several payments of one invoice: its default payment, and payment intents that are attached to it.

https://docs.stripe.com/invoicing/partial-payments
"""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import invoice_payments

Json = dict[str, Any]


def attach(account: Account, invoice: Json, intent: Json) -> Json:
    """Attach a payment intent to an open invoice, to pay part or all of it. Raises StripeError."""
    require_fit(invoice, intent)
    tie = {
        "amount_requested": intent["amount"],
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": False,
        "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
        "status": "open",
    }
    made = account.add("invoice_payment", tie)
    account.change(intent, {"_": intent["_"] | {"invoice": invoice["id"]}})
    return invoice_payments.received(account, invoice, made, intent)


def require_fit(invoice: Json, intent: Json) -> None:
    """Raise StripeError for a payment intent that cannot pay this invoice."""
    at = "payment_intent"
    if invoice["status"] != "open":
        words = f"Payments can only be attached to open invoices. This invoice is {invoice['status']}."
        raise StripeError(words, param=at)
    if intent["_"].get("invoice") or intent["status"] == "canceled":
        raise StripeError("This PaymentIntent cannot be attached to an invoice.", param=at)
    for name in ("customer", "currency"):
        if intent[name] != invoice[name]:
            raise StripeError(f"The PaymentIntent must have the same {name} as the invoice.", param=at)
    if intent["amount"] > invoice["amount_remaining"]:
        words = f"The PaymentIntent's amount must not exceed what remains ({invoice['amount_remaining']})."
        raise StripeError(words, param=at)
