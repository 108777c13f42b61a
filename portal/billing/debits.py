"""Changes whose payment takes days: by bank debit, or by an invoice that is sent.

Stripe has no pending updates for them (https://docs.stripe.com/billing/subscriptions/pending-updates): the change
is made at once, and taken back where the money does not come. Until it comes our copy shows the plan that was paid
for, unless the catalogue's `debit_upgrades` says `now`.
"""

from functools import cache
from pathlib import Path
from typing import Any

from portal import catalogue, gateway, mail
from portal.errors import Conflict
from portal.extensions import db
from portal.models import Customer, Subscription, SubscriptionChange
from portal.purchases.items import Item
from portal.settings import current_settings

DEBITS = ("acss_debit", "au_becs_debit", "bacs_debit", "nz_bank_account", "sepa_debit", "us_bank_account")
HELD = ("tier", "price_id", "amount", "currency", "interval", "interval_count")


class TakesACard(Conflict):
    """A change that cannot be taken back needs a payment that is sure at once."""

    code = "takes_a_card"
    title = "This change takes a card"


def is_slow(facts: gateway.Subscription) -> bool:
    """Whether what a subscription owes is paid days later."""
    return facts.is_sent or facts.method_type in DEBITS


def told(subscription: Subscription, item: Item, items: list[dict[str, Any]]) -> dict[str, Any]:
    """What a change keeps for the way back, and what is shown until the money is there. Raises TakesACard."""
    asked, has = ((one.interval, one.interval_count) for one in (item, subscription))
    if asked != has:  # a new period began with it, which no update takes back
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
    return catalogue.read(path).debit_upgrades


def tell_on_its_way(change: SubscriptionChange, plan: str) -> None:
    """Say by mail that the payment is on its way. Commits."""
    _mail(change, "change_on_its_way", plan=plan, waits="held" in change.params)


def tell_failed(change: SubscriptionChange) -> None:
    """Say by mail that the money did not come, and that the plan is what was paid for. Commits."""
    _mail(change, "change_not_paid")


def _mail(change: SubscriptionChange, template: str, **facts: Any) -> None:
    customer = db.session.get_one(Customer, change.customer_id)
    page = mail.external("billing.overview")
    mail.tell(customer, template, f"{template}:{change.id}", page=page, **facts)
    db.session.commit()
