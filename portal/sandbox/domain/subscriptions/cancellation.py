"""The end of a subscription: immediately, at a date, or because its first payment never arrived."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import finalization, invoice_payments
from portal.sandbox.domain.subscriptions import billing, prorations, subscription_items
from portal.sandbox.domain.subscriptions.schedules import lifecycle

Json = dict[str, Any]
OVER = ("canceled", "incomplete_expired")


def end(
    account: Account, subscription: Json, reason: str = "cancellation_requested", details: Json | None = None
) -> Json:
    """Cancel immediately. Raises StripeError if it is already cancelled."""
    if subscription["status"] in OVER:
        raise StripeError(
            f"No such subscription: '{subscription['id']}'", code="resource_missing", param="id", status=404
        )
    now = account.now()
    words = subscription["cancellation_details"] | {"reason": reason} | (details or {})
    status = "incomplete_expired" if subscription["status"] == "incomplete" else "canceled"
    changes = {"status": status, "ended_at": now, "cancellation_details": words, "pending_update": None}
    changes["canceled_at"] = subscription["canceled_at"] or now
    lifecycle.cancelled(account, subscription)
    account.change(subscription, changes)
    account.emit("customer.subscription.deleted", subscription)
    stop_collecting(account, subscription)
    return subscription


def stop_collecting(account: Account, subscription: Json) -> None:
    """Stop automatic collection of open invoices, which stay open."""
    unpaid = (
        "json_extract(json, '$.parent.subscription_details.subscription') = ? "
        "AND json_extract(json, '$.status') IN ('draft', 'open')"
    )
    for invoice in account.store.select(account.mode, "invoice", unpaid, subscription["id"]):
        changes = {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
        account.change(invoice, changes, "invoice.updated")


def cancel(account: Account, subscription: Json, prorate: bool, invoice_now: bool, details: Json) -> Json:
    """Cancel immediately on request: unused time is credited, and pending items are billed, if requested."""
    if subscription["status"] not in OVER:
        settle(account, subscription, prorate)
        if invoice_now:
            finalization.collect(account, last_invoice(account, subscription))
            subscription = account.find("subscription", subscription["id"])
    return end(account, subscription, details=details)


def settle(account: Account, subscription: Json, prorate: bool) -> None:
    """Credit the unused time of a cancelled subscription."""
    items = subscription["items"]["data"]
    plan = prorations.Plan(items, [], {}, prorates=prorate, bills=False, periods=[])
    if subscription["status"] in ("active", "past_due"):
        prorations.prorate(account, subscription, plan)


def last_invoice(account: Account, subscription: Json) -> Json:
    """Draft an invoice of what is still pending for a subscription that ends now."""
    account.change(subscription, {"latest_invoice": account.new_id("invoice")})
    return billing.bill(account, subscription, "subscription_update", [])


def lapse(account: Account, subscription: Json) -> None:
    """Expire a subscription and its invoice, whose first payment never arrived."""
    if subscription["status"] != "incomplete":
        return
    over = {"status": "incomplete_expired", "ended_at": account.now()}
    account.change(subscription, over, "customer.subscription.updated")
    invoice = account.get(subscription["latest_invoice"])
    if invoice and invoice["status"] == "open":
        invoice_payments.close(account, invoice, "void")


def is_due(account: Account, subscription: Json) -> bool:
    """Return whether the scheduled cancellation date has come."""
    ends = subscription["cancel_at"]
    return bool(ends and ends <= account.now())


def scheduled(
    account: Account, subscription: Json, at_period_end: bool | None, cancel_at: int | str | None
) -> Json:
    """Return changes that schedule a subscription's end, or remove it; the two ways differ as at Stripe.

    Raises StripeError while a schedule controls its end.
    """
    if subscription["schedule"]:
        words = f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and "
        words += "updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        raise StripeError(words)
    ends = bool(at_period_end or cancel_at)
    reason = "cancellation_requested" if ends else None
    moment = cancel_at if isinstance(cancel_at, int) else subscription_items.period_end(subscription)
    changes: Json = {
        "cancel_at_period_end": bool(at_period_end),
        "cancel_at": moment if ends else None,
        "canceled_at": account.now() if ends else None,
        "cancellation_details": subscription["cancellation_details"] | {"reason": reason},
    }
    if ends:
        account.at(moment, "renew", subscription["id"])
    return changes
