"""The consequences of a payment intent's result: the invoice, the subscription, the checkout session."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.checkout import sessions
from portal.sandbox.domain.invoices import invoice_payments
from portal.sandbox.domain.payments import payment_intents

Json = dict[str, Any]


def confirm(account: Account, intent: Json, method: Json, off_session: bool) -> Json:
    """Confirm an intent and apply the consequences. Raises StripeError if it is declined."""
    try:
        payment_intents.confirm(account, intent, method, off_session)
    except StripeError as error:
        if error.keeps:
            follow(account, intent)
        raise
    return follow(account, intent)


def authenticate(account: Account, intent: Json, passed: bool) -> Json:
    """Record the cardholder's answer and apply the consequences. Raises StripeError if it was no."""
    try:
        payment_intents.authenticated(account, intent, passed)
    except StripeError:
        follow(account, intent)
        raise
    return follow(account, intent)


def settle(account: Account, intent: Json) -> None:
    """Handle the result of a bank debit."""
    if intent["status"] == "processing":
        follow(account, payment_intents.settle(account, intent))


def follow(account: Account, intent: Json) -> Json:
    """Update the invoice and the checkout session of an intent."""
    invoice = account.get(intent["_"].get("invoice"))
    if invoice and invoice["status"] == "open":
        invoice_payments.follow(account, invoice, intent)
    for session in _sessions(account, intent, invoice):
        if session["status"] == "complete" and intent["status"] in ("succeeded", "requires_payment_method"):
            sessions.settled(account, session, intent["status"] == "succeeded")
    return intent


def _sessions(account: Account, intent: Json, invoice: Json | None) -> list[Json]:
    if invoice:
        found = "json_extract(json, '$.invoice') = ?"
        return account.store.select(account.mode, "checkout.session", found, invoice["id"])
    session = account.get(intent["_"].get("session"))
    return [session] if session else []
