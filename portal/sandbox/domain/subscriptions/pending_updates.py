"""payment_behavior=pending_if_incomplete: a change that waits until its invoice is paid."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import finalization, invoice_payments

Json = dict[str, Any]
WAITS_FOR = 23 * 3600  # seconds


def require_supported(account: Account, subscription: Json) -> None:
    """Raise StripeError if Stripe has no pending updates: for sent invoices and bank debits.

    https://docs.stripe.com/billing/subscriptions/pending-updates
    """
    param = "payment_behavior"
    if subscription["collection_method"] == "send_invoice":
        words = "`payment_behavior=pending_if_incomplete` needs `collection_method=charge_automatically`."
        raise StripeError(words, param=param)
    customer = account.find("customer", subscription["customer"])
    default = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    method = account.get(default)
    if method and method["type"] != "card":
        words = f"`payment_behavior=pending_if_incomplete` is not supported for `{method['type']}`."
        raise StripeError(words, param=param)


def attempt(account: Account, subscription: Json, invoice: Json, changes: Json) -> None:
    """Charge first, and apply the change only when that is paid."""
    waiting: Json = {"expires_at": account.now() + WAITS_FOR, "billing_cycle_anchor": None, "trial_end": None}
    waiting["subscription_items"] = (subscription | changes)["items"]["data"]
    kept = subscription["_"] | {"pending": changes}
    account.change(subscription, {"pending_update": waiting, "_": kept})
    account.change(invoice, {"_": {"pending": True}})
    finalization.collect(account, invoice)
    found = account.find("subscription", subscription["id"])
    if found["pending_update"]:
        account.emit("customer.subscription.updated", found, {"pending_update": None})
        account.at(waiting["expires_at"], "drop_pending", found["id"])


def drop(account: Account, subscription: Json) -> None:
    """Drop the change, which nobody paid in time."""
    waiting = subscription["pending_update"]
    if not waiting or waiting["expires_at"] > account.now():
        return
    invoice = account.find("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoice_payments.close(account, invoice, "void")
    account.change(subscription, {"pending_update": None, "_": subscription["_"] | {"pending": None}})
    account.emit("customer.subscription.pending_update_expired", subscription)
