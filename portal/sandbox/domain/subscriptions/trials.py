"""Free trials: the event before they end, and what happens without a card."""

from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]
WARNING = 3 * 86400  # seconds before the end of a trial


def announce(account: Account, subscription: Json) -> None:
    """Create the event three days before a trial ends, or immediately if that has passed."""
    if subscription["status"] != "trialing":
        return
    if subscription["trial_end"] <= account.now():
        return
    due = subscription["trial_end"] - WARNING
    if due > account.now():
        account.at(due, "announce", subscription["id"])
    else:
        account.emit("customer.subscription.trial_will_end", subscription)


def outcome(account: Account, subscription: Json) -> str:
    """Return the result of a trial that ends now: "create_invoice" with a card, else what its settings say."""
    owner = account.find("customer", subscription["customer"])
    if subscription["default_payment_method"] or owner["invoice_settings"]["default_payment_method"]:
        return "create_invoice"
    return str(subscription["trial_settings"]["end_behavior"]["missing_payment_method"])
