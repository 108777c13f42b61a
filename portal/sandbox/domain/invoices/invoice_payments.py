"""Paying invoices: attempts and their results, and open invoices that are closed unpaid."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import dunning
from portal.sandbox.domain.payments import customer_balance, payment_intents

Json = dict[str, Any]


def payments_of(account: Account, invoice: Json) -> list[Json]:
    """Return the invoice's payments, newest first."""
    return account.store.select(
        account.mode, "invoice_payment", "json_extract(json, '$.invoice') = ?", invoice["id"]
    )


def intent_of(account: Account, invoice: Json) -> Json | None:
    """Return the payment intent of an invoice's default payment, which an open invoice waits for."""
    tied = next((tie for tie in payments_of(account, invoice) if tie["is_default"]), None)
    return account.get(tied["payment"].get("payment_intent")) if tied else None


def pay(account: Account, invoice: Json, method: Json, off_session: bool = True) -> Json:
    """Charge an open invoice to a payment method; it is then paid, or waits for the cardholder.

    Raises StripeError: CardError if the card is declined, which counts as an attempt.
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
    """Apply the result of an invoice's payment intent."""
    tie = next(t for t in payments_of(account, invoice) if t["payment"].get("payment_intent") == intent["id"])
    if not tie["is_default"]:
        return received(account, invoice, tie, intent)
    if intent["status"] == "succeeded":
        return mark_paid(account, invoice)
    if intent["status"] == "requires_payment_method":
        return failed(account, invoice)
    if intent["status"] == "requires_action":
        return ask_for_action(account, invoice)
    return account.change(invoice, attempted(invoice), "invoice.updated")


def attempted(invoice: Json) -> Json:
    """Return what any attempt changes, whatever its result."""
    return {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}


def ask_for_action(account: Account, invoice: Json) -> Json:
    """Ask the cardholder to authenticate; unless it is the first payment, this also counts as a failed attempt."""
    if invoice["billing_reason"] == "subscription_create":
        account.change(invoice, attempted(invoice), "invoice.updated")
    else:
        failed(account, invoice)
    account.emit("invoice.payment_action_required", invoice)
    return invoice


def mark_paid(account: Account, invoice: Json, out_of_band: bool = False) -> Json:
    """Mark an invoice as paid, when its payment has arrived or it costs nothing."""
    tied = [] if out_of_band else payments_of(account, invoice)
    for tie in tied:
        settle(account, tie)
    rest = invoice["amount_remaining"]
    changes = {
        "amount_paid": invoice["amount_paid"] + (0 if out_of_band else rest),
        "amount_paid_off_stripe": rest if out_of_band else 0,
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


def received(account: Account, invoice: Json, tie: Json, intent: Json) -> Json:
    """Credit an attached payment intent to its invoice once it succeeded; the default payment covers the rest."""
    if intent["status"] != "succeeded" or tie["status"] != "open":
        return invoice
    amount = min(tie["amount_requested"], invoice["amount_remaining"])
    credit(account, tie, amount)
    rest = invoice["amount_remaining"] - amount
    changes = {"amount_paid": invoice["amount_paid"] + amount, "amount_remaining": rest}
    account.change(invoice, changes, "invoice.updated")
    if not rest:
        return mark_paid(account, invoice)
    default = intent_of(account, invoice)
    if default:
        account.change(default, {"amount": rest})
    for other in payments_of(account, invoice):
        if other["is_default"]:
            account.change(other, {"amount_requested": rest})
    return invoice


def settle(account: Account, tie: Json) -> None:
    """Close an invoice's payment once the invoice is paid: it succeeded, or is no longer needed."""
    if tie["status"] != "open":
        return
    intent = account.find("payment_intent", tie["payment"]["payment_intent"])
    if intent["status"] == "succeeded":
        credit(account, tie, tie["amount_requested"])
        return
    times = {"canceled_at": account.now(), "paid_at": None}
    account.change(tie, {"status": "canceled", "status_transitions": times})
    if tie["is_default"]:
        over = {"status": "canceled", "canceled_at": account.now(), "cancellation_reason": "void_invoice"}
        account.change(intent, over)
        account.emit("payment_intent.canceled", intent)


def credit(account: Account, tie: Json, amount: int) -> None:
    """Record the amount that a payment paid of its invoice, in minor units."""
    times = {"canceled_at": None, "paid_at": account.now()}
    account.change(tie, {"status": "paid", "amount_paid": amount, "status_transitions": times})
    account.emit("invoice_payment.paid", tie)


def failed(account: Account, invoice: Json) -> Json:
    """Record an attempt that failed."""
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    changes["next_payment_attempt"] = dunning.next_attempt(account, invoice)
    account.change(invoice, changes, "invoice.updated")
    account.emit("invoice.payment_failed", invoice)
    dunning.unpaid(account, invoice)
    return invoice


def close(account: Account, invoice: Json, status: str) -> Json:
    """Void an invoice or mark it uncollectible. Raises StripeError."""
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
    if status == "void":
        return_balance(account, invoice)
    account.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    dunning.closed(account, invoice)
    return invoice


def return_balance(account: Account, invoice: Json) -> None:
    """Return the balance that was applied to an invoice to its customer.

    https://docs.stripe.com/billing/customer/balance#types
    """
    applied = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    customer, named = account.find("customer", invoice["customer"]), {"invoice": invoice["id"]}
    customer_balance.change(account, customer, -applied, "unapplied_from_invoice", named, invoice["currency"])


def default_method(account: Account, invoice: Json) -> Json | None:
    """Return the payment method that an invoice is charged to: its own, the subscription's, the customer's."""
    customer = account.find("customer", invoice["customer"])
    parent = (invoice["parent"] or {}).get("subscription_details") or {}
    subscription = account.get(parent.get("subscription")) or {}
    choices = (
        invoice["default_payment_method"],
        subscription.get("default_payment_method"),
        customer["invoice_settings"]["default_payment_method"],
    )
    return next((method for id_ in choices if (method := account.get(id_))), None)
