"""The end of a subscription: at once, at a date, or because its first payment never came."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import finalization, invoice_payments
from portal.sandbox.domain.subscriptions import billing, prorations, schedules, subscription_items

Json = dict[str, Any]
OVER = ("canceled", "incomplete_expired")


def end(
    account: Account, subscription: Json, reason: str = "cancellation_requested", details: Json | None = None
) -> Json:
    """Cancel at once. Raises StripeError when it is cancelled already."""
    if subscription["status"] in OVER:
        raise StripeError(
            f"No such subscription: '{subscription['id']}'", code="resource_missing", param="id", status=404
        )
    now = account.now()
    words = subscription["cancellation_details"] | {"reason": reason} | (details or {})
    status = "incomplete_expired" if subscription["status"] == "incomplete" else "canceled"
    changes = {"status": status, "ended_at": now, "cancellation_details": words, "pending_update": None}
    changes["canceled_at"] = subscription["canceled_at"] or now
    schedules.cancelled(account, subscription)
    account.change(subscription, changes)
    account.emit("customer.subscription.deleted", subscription)
    stop_collecting(account, subscription)
    return subscription


def stop_collecting(account: Account, subscription: Json) -> None:
    """What is unpaid stays open, but nobody is charged for it any more without being asked."""
    unpaid = (
        "json_extract(json, '$.parent.subscription_details.subscription') = ? "
        "AND json_extract(json, '$.status') IN ('draft', 'open')"
    )
    for invoice in account.store.select(account.mode, "invoice", unpaid, subscription["id"]):
        changes = {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
        account.change(invoice, changes, "invoice.updated")


def cancel(account: Account, subscription: Json, prorate: bool, invoice_now: bool, details: Json) -> Json:
    """Cancel at once on request: unused time is credited if asked, what is pending billed now if asked."""
    if subscription["status"] not in OVER:
        settle(account, subscription, prorate)
        if invoice_now:
            finalization.collect(account, last_invoice(account, subscription))
            subscription = account.find("subscription", subscription["id"])
    return end(account, subscription, details=details)


def settle(account: Account, subscription: Json, prorate: bool) -> None:
    """Credit the time that a cancelled subscription leaves unused."""
    items = subscription["items"]["data"]
    plan = prorations.Plan(items, [], {}, prorates=prorate, bills=False, periods=[])
    if subscription["status"] in ("active", "past_due"):
        prorations.prorate(account, subscription, plan)


def last_invoice(account: Account, subscription: Json) -> Json:
    """What is still pending for a subscription that ends now, as a draft."""
    account.change(subscription, {"latest_invoice": account.new_id("invoice")})
    return billing.bill(account, subscription, "subscription_update", [])


def lapse(account: Account, subscription: Json) -> None:
    """A first payment that never came: the subscription and its invoice are over."""
    if subscription["status"] != "incomplete":
        return
    over = {"status": "incomplete_expired", "ended_at": account.now()}
    account.change(subscription, over, "customer.subscription.updated")
    invoice = account.get(subscription["latest_invoice"])
    if invoice and invoice["status"] == "open":
        invoice_payments.close(account, invoice, "void")


def is_due(account: Account, subscription: Json) -> bool:
    """Whether the date has come for which a subscription was cancelled."""
    ends = subscription["cancel_at"]
    return bool(ends and ends <= account.now())


def scheduled(
    account: Account, subscription: Json, at_period_end: bool | None, cancel_at: int | str | None
) -> Json:
    """Changes that have a subscription end later, or not after all; the two ways are told apart as Stripe does.

    Raises StripeError while a schedule decides how it ends.
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
