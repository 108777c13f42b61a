"""What waits for an address: the orders of its unclaimed users, as the owner is asked about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from portal import money
from portal.accounts.ownership.fresh_start import living_keys
from portal.billing import subscriptions
from portal.billing.status import labels
from portal.billing.upcoming import prices
from portal.catalogue import plans
from portal.customers import owners
from portal.enums import Mode
from portal.extensions import db
from portal.models import ApiKey, Customer, Order, OrderState, Plan, Subscription, User


@dataclass(frozen=True)
class Waiting:
    """An unclaimed user, its orders as text, and its active keys."""

    user: User
    bought: tuple[str, ...]
    keys: list[ApiKey]

    @property
    def title(self) -> str:
        """Return all of it on one line."""
        return "; ".join(self.bought) or "A customer record without a purchase"


def of(users: Sequence[User]) -> list[Waiting]:
    """List what waits for these unclaimed users."""
    return [Waiting(user, tuple(_bought(user)), living_keys(user)) for user in users]


def is_any(email: str) -> bool:
    """Return whether something waits for this address."""
    query = select(func.count()).select_from(User).where(User.email == owners.normalized(email), *owners.WAITING)
    return bool(db.session.execute(query).scalar_one())


def _bought(user: User) -> Iterator[str]:
    customers = db.session.execute(select(Customer).where(Customer.user_id == user.id).order_by(Customer.id))
    for customer in customers.scalars():
        mark = "" if customer.mode == Mode.LIVE else " (test mode)"
        running = subscriptions.of_customer(customer.id)
        all_plans = {plan.tier: plan for plan in plans.every_plan()} if running else {}
        for subscription in running:
            yield _subscription(subscription, all_plans) + mark
        for order in _paid(customer, running):
            yield f"{order.name}, {money.text(order.amount, order.currency)}{mark}"
        if customer.credit_balance:
            yield f"{customer.credit_balance:,} credits{mark}"


def _subscription(subscription: Subscription, all_plans: dict[str, Plan]) -> str:
    price = " and ".join(prices.all_of(subscription))
    card = f", card ending in {subscription.card.last4}" if subscription.card else ""
    return f"{labels.name(subscription, all_plans)}, {price}{card}"


def _paid(customer: Customer, running: Sequence[Subscription]) -> list[Order]:
    """List the paid orders that are not part of an active subscription."""
    query = select(Order).filter_by(customer_id=customer.id, state=OrderState.PAID).order_by(Order.id)
    told = {one.stripe_id for one in running}
    return [one for one in db.session.execute(query).scalars() if one.subscription_id not in told]
