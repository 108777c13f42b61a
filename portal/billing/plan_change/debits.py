"""Changes whose payment takes days: by bank debit, or by an invoice that is sent.

Stripe has no pending updates for them (https://docs.stripe.com/billing/subscriptions/pending-updates): the change
is made immediately, and undone if the payment fails. Until it is paid our copy shows the previous plan, unless the
catalogue's `debit_upgrades` is `now`.
"""

from functools import cache
from pathlib import Path
from typing import Any

from portal import gateway, mail
from portal.catalogue import catalogue_file
from portal.catalogue.items import Item
from portal.errors import Conflict
from portal.extensions import db
from portal.models import Customer, Subscription, SubscriptionChange
from portal.settings import current_settings

DEBITS = ("acss_debit", "au_becs_debit", "bacs_debit", "nz_bank_account", "sepa_debit", "us_bank_account")
HELD = ("tier", "price_id", "amount", "currency", "interval", "interval_count")


class TakesACard(Conflict):
    """A change that cannot be undone needs an immediate payment."""

    code = "takes_a_card"
    title = "This change takes a card"


def is_slow(facts: gateway.Subscription) -> bool:
    """Return whether a subscription's payments take days."""
    return facts.is_sent or facts.method_type in DEBITS


def told(subscription: Subscription, item: Item, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a change stores to undo it, and what is shown until it is paid. Raises TakesACard."""
    asked, has = ((one.interval, one.interval_count) for one in (item, subscription))
    if asked != has:  # a new period began with it, which no update undoes
        raise TakesACard(
            "Your plan is paid from a bank account, which takes days. To pay in another cycle, save a card first.",
            money="Nothing was changed, and you were not charged.",
            action=("/billing", "Manage payment method"),
        )
    undone = [{"id": one["id"], "price": subscription.price_id} for one in items]
    kept: dict[str, Any] = {"undo": {"items": undone, "proration_behavior": "none"}}
    if _policy(current_settings().catalogue) == "wait":
        kept["held"] = {name: getattr(subscription, name) for name in HELD}
    return kept


@cache
def _policy(path: Path) -> str:
    return catalogue_file.read(path).debit_upgrades


def tell_on_its_way(change: SubscriptionChange, plan: str) -> None:
    """Mail that the payment is in progress. Commits."""
    _mail(change, "change_on_its_way", plan=plan, waits="held" in change.params)


def tell_failed(change: SubscriptionChange) -> None:
    """Mail that the payment failed and the previous plan is back. Commits."""
    _mail(change, "change_not_paid")


def _mail(change: SubscriptionChange, template: str, **facts: Any) -> None:
    customer = db.session.get_one(Customer, change.customer_id)
    page = mail.external("billing.overview")
    facts |= {"page": page, "sent": bool(change.params.get("sent"))}
    mail.tell(customer, template, f"{template}:{change.id}", **facts)
    db.session.commit()
