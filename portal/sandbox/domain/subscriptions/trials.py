"""Free trials: announced before they end, and what becomes of them when there is no card."""

from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]
WARNING = 3 * 86400  # seconds before the end of a trial


def announce(account: Account, subscription: Json) -> None:
    """Three days before a trial ends, at once if that has passed."""
    if subscription["status"] != "trialing":
        return
    due = subscription["trial_end"] - WARNING
    if due > account.now():
        account.at(due, "announce", subscription["id"])
    else:
        account.emit("customer.subscription.trial_will_end", subscription)


def outcome(account: Account, subscription: Json) -> str:
    """What a trial that ends now leads to: "create_invoice" where there is a card, else what its settings say."""
    owner = account.find("customer", subscription["customer"])
    if subscription["default_payment_method"] or owner["invoice_settings"]["default_payment_method"]:
        return "create_invoice"
    return str(subscription["trial_settings"]["end_behavior"]["missing_payment_method"])
