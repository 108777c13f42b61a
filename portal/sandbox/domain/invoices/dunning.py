"""What paid and unpaid invoices do to their subscription."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.subscriptions import pauses, subscription_items

Json = dict[str, Any]
RETRY_DAYS = (3, 5, 7)  # after the last of these the subscription is cancelled


def subscription_of(account: Account, invoice: Json) -> Json | None:
    """The subscription that an invoice belongs to."""
    parent = (invoice["parent"] or {}).get("subscription_details") or {}
    return account.get(parent.get("subscription"))


def paid(account: Account, invoice: Json) -> None:
    """A paid invoice opens a subscription that waited for it, or brings it back."""
    subscription = subscription_of(account, invoice)
    if subscription and invoice["_"].get("pending"):
        apply_pending(account, subscription)
    if subscription and subscription["status"] == "paused" and subscription["latest_invoice"] == invoice["id"]:
        pauses.resumed(account, subscription)
    if subscription and subscription["status"] in ("incomplete", "past_due", "unpaid"):
        account.change(subscription, {"status": "active"}, "customer.subscription.updated")


def apply_pending(account: Account, subscription: Json) -> None:
    """Make the change that waited for its invoice."""
    changes = subscription["_"].get("pending") or {}
    account.change(subscription, {"_": subscription["_"] | {"pending": None}})
    account.change(subscription, changes | {"pending_update": None}, "customer.subscription.updated")
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    account.emit("customer.subscription.pending_update_applied", subscription)


def unpaid(account: Account, invoice: Json) -> None:
    """An unpaid renewal makes its subscription past due; an unpaid first invoice leaves it incomplete."""
    subscription = subscription_of(account, invoice)
    if not subscription or subscription["status"] != "active" or invoice["_"].get("pending"):
        return
    account.change(subscription, {"status": "past_due"}, "customer.subscription.updated")


def closed(account: Account, invoice: Json) -> None:
    """Once nothing is owed any more, a subscription that was past due is active again."""
    subscription = subscription_of(account, invoice)
    if not subscription or subscription["status"] != "past_due":
        return
    owed = (
        "json_extract(json, '$.parent.subscription_details.subscription') = ? "
        "AND json_extract(json, '$.status') = 'open'"
    )
    if not account.store.select(account.mode, "invoice", owed, subscription["id"], limit=1):
        account.change(subscription, {"status": "active"}, "customer.subscription.updated")


def next_attempt(account: Account, invoice: Json) -> int | None:
    """When Stripe tries again, in seconds since 1970; only renewals are tried again."""
    renewal = invoice["billing_reason"] == "subscription_cycle"
    if not renewal or not invoice["auto_advance"] or invoice["attempt_count"] > len(RETRY_DAYS):
        return None
    if invoice["attempt_count"] == len(RETRY_DAYS):
        account.at(account.now(), "give_up", invoice["parent"]["subscription_details"]["subscription"])
        return None
    due = account.now() + RETRY_DAYS[invoice["attempt_count"]] * 86400
    account.at(due, "retry", invoice["id"])
    return due
