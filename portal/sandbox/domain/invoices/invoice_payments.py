"""Paying invoices: attempts and their outcome, and open invoices that are closed unpaid."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import dunning
from portal.sandbox.domain.payments import payment_intents

Json = dict[str, Any]


def payments_of(account: Account, invoice: Json) -> list[Json]:
    """The invoice's payments, newest first."""
    return account.store.select(
        account.mode, "invoice_payment", "json_extract(json, '$.invoice') = ?", invoice["id"]
    )


def intent_of(account: Account, invoice: Json) -> Json | None:
    """The payment intent that an open invoice waits for."""
    tied = next(iter(payments_of(account, invoice)), None)
    return account.get(tied["payment"]["payment_intent"]) if tied else None


def pay(account: Account, invoice: Json, method: Json, off_session: bool = True) -> Json:
    """Charge an open invoice to a payment method; the invoice then is paid, or waits for the cardholder.

    Raises StripeError: CardError when the card is declined, which counts as an attempt.
    """
    intent = intent_of(account, invoice)
    if invoice["status"] != "open" or intent is None:
        words = "Invoice is already paid" if invoice["status"] == "paid" else "This invoice can't be paid."
        raise StripeError(words, code="invoice_payment_not_allowed" if words[0] == "T" else None)
    try:
        intent = payment_intents.confirm(account, intent, method, off_session)
    except StripeError:
        failed(account, invoice)
        raise
    return follow(account, invoice, intent)


def follow(account: Account, invoice: Json, intent: Json) -> Json:
    """Draw the consequences of what became of an invoice's payment intent."""
    if intent["status"] == "succeeded":
        return mark_paid(account, invoice)
    if intent["status"] == "requires_payment_method":
        return failed(account, invoice)
    if intent["status"] == "requires_action":
        return ask_for_action(account, invoice)
    return account.change(invoice, attempted(invoice), "invoice.updated")


def attempted(invoice: Json) -> Json:
    """What an attempt changes whatever comes of it."""
    return {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}


def ask_for_action(account: Account, invoice: Json) -> Json:
    """The cardholder must authenticate; unless it is the first payment, that is a failed attempt too."""
    if invoice["billing_reason"] == "subscription_create":
        account.change(invoice, attempted(invoice), "invoice.updated")
    else:
        failed(account, invoice)
    account.emit("invoice.payment_action_required", invoice)
    return invoice


def mark_paid(account: Account, invoice: Json, out_of_band: bool = False) -> Json:
    """An invoice whose money is there, or which costs nothing."""
    tied = [] if out_of_band else payments_of(account, invoice)
    when = {"canceled_at": None, "paid_at": account.now()}
    for tie in tied:
        account.change(tie, {"status": "paid", "amount_paid": tie["amount_requested"], "status_transitions": when})
        account.emit("invoice_payment.paid", tie)
    changes = {
        "amount_paid": 0 if out_of_band else invoice["amount_due"],
        "amount_paid_off_stripe": invoice["amount_due"] if out_of_band else 0,
        "amount_remaining": 0,
        "attempted": True,
        "attempt_count": max(1, invoice["attempt_count"]) if tied else invoice["attempt_count"],
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": invoice["status_transitions"] | {"paid_at": account.now()},
    }
    account.change(invoice, changes, "invoice.updated")
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)
    dunning.paid(account, invoice)
    return invoice


def failed(account: Account, invoice: Json) -> Json:
    """An attempt that brought no money."""
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    changes["next_payment_attempt"] = dunning.next_attempt(account, invoice)
    account.change(invoice, changes, "invoice.updated")
    account.emit("invoice.payment_failed", invoice)
    dunning.unpaid(account, invoice)
    return invoice


def close(account: Account, invoice: Json, status: str) -> Json:
    """Void an invoice or give it up as uncollectible. Raises StripeError."""
    if invoice["status"] not in ("open", "uncollectible"):
        words = f"You can only pass in open invoices. This invoice isn't open (it is {invoice['status']})."
        raise StripeError(words)
    moment = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    when = invoice["status_transitions"] | {moment: account.now()}
    account.change(invoice, {"status": status, "status_transitions": when, "next_payment_attempt": None})
    intent = intent_of(account, invoice)
    if status == "void" and intent:
        account.change(
            intent, {"status": "canceled", "canceled_at": account.now(), "cancellation_reason": "void_invoice"}
        )
        account.emit("payment_intent.canceled", intent)
    account.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    dunning.closed(account, invoice)
    return invoice


def default_method(account: Account, invoice: Json) -> Json | None:
    """The payment method that an invoice is charged to: its own, the subscription's, the customer's."""
    customer = account.find("customer", invoice["customer"])
    parent = (invoice["parent"] or {}).get("subscription_details") or {}
    subscription = account.get(parent.get("subscription")) or {}
    choices = (
        invoice["default_payment_method"],
        subscription.get("default_payment_method"),
        customer["invoice_settings"]["default_payment_method"],
    )
    return next((method for id_ in choices if (method := account.get(id_))), None)
