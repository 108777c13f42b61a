"""What waits for an address: the purchases of its unclaimed users, as their owner is asked about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from portal import money
from portal.accounts.fresh_start import living_keys
from portal.billing import plans, subscriptions, words
from portal.customers import owners
from portal.extensions import db
from portal.models import ApiKey, Customer, Plan, Purchase, Subscription, User


@dataclass(frozen=True)
class Waiting:
    """An unclaimed user, what was bought in words, and the keys that work."""

    user: User
    bought: tuple[str, ...]
    keys: list[ApiKey]

    @property
    def title(self) -> str:
        """All of it on one line."""
        return "; ".join(self.bought) or "A customer record without a purchase"


def of(users: Sequence[User]) -> list[Waiting]:
    """What waits under these unclaimed users."""
    return [Waiting(user, tuple(_bought(user)), living_keys(user)) for user in users]


def is_any(email: str) -> bool:
    """Whether something waits for this address."""
    query = select(func.count()).select_from(User).where(User.email == owners.normalized(email), *owners.WAITING)
    return bool(db.session.execute(query).scalar_one())


def _bought(user: User) -> Iterator[str]:
    customers = db.session.execute(select(Customer).where(Customer.user_id == user.id).order_by(Customer.id))
    for customer in customers.scalars():
        mark = "" if customer.mode == "live" else " (test mode)"
        running = subscriptions.of_customer(customer.id)
        all_plans = {plan.tier: plan for plan in plans.every_plan()} if running else {}
        for subscription in running:
            yield _subscription(subscription, all_plans) + mark
        for purchase in _paid(customer, running):
            yield f"{purchase.name}, {money.text(purchase.amount, purchase.currency)}{mark}"
        if customer.credit_balance:
            yield f"{customer.credit_balance:,} credits{mark}"


def _subscription(subscription: Subscription, all_plans: dict[str, Plan]) -> str:
    cost = money.text(subscription.amount, subscription.currency)
    how_often = money.every(subscription.interval, subscription.interval_count)
    card = f", card ending in {subscription.card.last4}" if subscription.card else ""
    return f"{words.name(subscription, all_plans)}, {cost} {how_often}{card}"


def _paid(customer: Customer, running: Sequence[Subscription]) -> list[Purchase]:
    """What was paid and is none of the running subscriptions."""
    query = select(Purchase).filter_by(customer_id=customer.id, state="paid").order_by(Purchase.id)
    told = {one.stripe_id for one in running}
    return [one for one in db.session.execute(query).scalars() if one.subscription_id not in told]
