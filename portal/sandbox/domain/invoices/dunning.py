"""The effects of paid and unpaid invoices on their subscription."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.subscriptions import pauses, subscription_items

Json = dict[str, Any]
RETRY_DAYS = (3, 5, 7)  # after the last of these the subscription is cancelled


def subscription_of(account: Account, invoice: Json) -> Json | None:
    """Return the subscription of an invoice."""
    parent = (invoice["parent"] or {}).get("subscription_details") or {}
    return account.get(parent.get("subscription"))


def paid(account: Account, invoice: Json) -> None:
    """Activate a subscription that waited for this invoice, or restore it."""
    subscription = subscription_of(account, invoice)
    if subscription and invoice["_"].get("pending"):
        apply_pending(account, subscription)
    if subscription and subscription["status"] == "paused" and subscription["latest_invoice"] == invoice["id"]:
        pauses.resumed(account, subscription)
    if subscription and subscription["status"] == "incomplete":
        account.change(subscription, {"status": "active"}, "customer.subscription.updated")
    if subscription:
        keep_method(account, subscription, invoice)
        follow_newest(account, subscription)


def keep_method(account: Account, subscription: Json, invoice: Json) -> None:
    """Write the payment method that paid an invoice into its subscription, if its settings say so.

    https://docs.stripe.com/api/subscriptions/object#subscription_object-payment_settings-save_default_payment_method
    """
    if subscription["payment_settings"]["save_default_payment_method"] != "on_subscription":
        return
    paid = "json_extract(json, '$.invoice') = ? AND json_extract(json, '$.status') = 'paid'"
    for tie in account.store.select(account.mode, "invoice_payment", paid, invoice["id"], limit=1):
        intent = account.get(tie["payment"].get("payment_intent")) or {"payment_method": None}
        method = intent["payment_method"]
        if method and method != subscription["default_payment_method"]:
            account.change(subscription, {"default_payment_method": method}, "customer.subscription.updated")


def follow_newest(account: Account, subscription: Json) -> None:
    """Reactivate a past due subscription once its newest invoice is settled; voided ones don't count.

    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    if subscription["status"] not in ("past_due", "unpaid"):
        return
    counts = (
        "json_extract(json, '$.parent.subscription_details.subscription') = ? "
        "AND json_extract(json, '$.status') NOT IN ('void', 'draft')"
    )
    newest = account.store.select(account.mode, "invoice", counts, subscription["id"], limit=1)
    if not newest or newest[0]["status"] != "open":
        account.change(subscription, {"status": "active"}, "customer.subscription.updated")


def apply_pending(account: Account, subscription: Json) -> None:
    """Apply the change that waited for its invoice."""
    changes = subscription["_"].get("pending") or {}
    account.change(subscription, {"_": subscription["_"] | {"pending": None}})
    account.change(subscription, changes | {"pending_update": None}, "customer.subscription.updated")
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    account.emit("customer.subscription.pending_update_applied", subscription)


def unpaid(account: Account, invoice: Json) -> None:
    """Mark the subscription past due after an unpaid renewal; an unpaid first invoice leaves it incomplete."""
    subscription = subscription_of(account, invoice)
    if not subscription or subscription["status"] != "active" or invoice["_"].get("pending"):
        return
    account.change(subscription, {"status": "past_due"}, "customer.subscription.updated")


def closed(account: Account, invoice: Json) -> None:
    """Handle an invoice that was voided or marked uncollectible."""
    subscription = subscription_of(account, invoice)
    if subscription:
        follow_newest(account, subscription)


def next_attempt(account: Account, invoice: Json) -> int | None:
    """Return when Stripe tries again, in seconds since 1970; only renewals are retried."""
    renewal = invoice["billing_reason"] in ("subscription_cycle", "subscription_threshold")
    if not renewal or not invoice["auto_advance"] or invoice["attempt_count"] > len(RETRY_DAYS):
        return None
    if invoice["attempt_count"] == len(RETRY_DAYS):
        account.at(account.now(), "give_up", invoice["parent"]["subscription_details"]["subscription"])
        return None
    due = account.now() + RETRY_DAYS[invoice["attempt_count"]] * 86400
    account.at(due, "retry", invoice["id"])
    return due
