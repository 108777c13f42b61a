"""One user in both modes: what stands about them, read in a handful of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import lazyload

from portal import access
from portal.access import Access
from portal.admin import why
from portal.admin.why import Reason
from portal.credits import history
from portal.customers import suspensions
from portal.extensions import db
from portal.models import ApiKey, Customer, Plan, StripeCustomer, Subscription, Suspension, User
from portal.models.suspension import SuspensionReason

Row = TypeVar("Row", ApiKey, Subscription)

ROWS = 15  # of the history; the customer's own page has all of it


@dataclass(frozen=True)
class Side:
    """A user in one mode."""

    customer: Customer
    names: list[StripeCustomer]
    subscriptions: list[Subscription]
    keys: list[ApiKey]
    access: Access
    reasons: list[Reason]
    suspended: list[Suspension]
    history: list[history.Row]

    @property
    def is_suspended_by_admin(self) -> bool:
        """Whether an admin suspended the customer, beside whatever else did."""
        return any(one.reason == SuspensionReason.ADMIN for one in self.suspended)

    @property
    def is_lifted_by_admin(self) -> bool:
        """Whether there is a suspension that an admin lifts."""
        return any(SuspensionReason(one.reason).is_lifted_by_admin for one in self.suspended)


def sides(user: User) -> list[Side]:
    """Live first, then test; only modes in which the user ever bought something or made a key."""
    query = select(Customer, StripeCustomer).outerjoin(StripeCustomer).where(Customer.user_id == user.id)
    query = query.options(lazyload(StripeCustomer.customer))  # its inner join would drop who is not at Stripe yet
    named: dict[Customer, list[StripeCustomer]] = {}
    for customer, name in db.session.execute(query.order_by(Customer.mode, StripeCustomer.id.desc())):
        named.setdefault(customer, []).extend([name] if name else [])
    ids = [customer.id for customer in named]
    subscriptions = _newest_first(Subscription, ids)
    keys = _newest_first(ApiKey, ids)
    plans = db.session.execute(select(Plan)).scalars().all() if named else []
    suspended = suspensions.standing(named)
    return [_side(customer, names, subscriptions, keys, plans, suspended) for customer, names in named.items()]


def _newest_first(model: type[Row], ids: list[int]) -> Sequence[Row]:
    return (
        db.session.execute(select(model).where(model.customer_id.in_(ids)).order_by(model.id.desc()))
        .scalars()
        .all()
    )


def _side(
    customer: Customer,
    names: list[StripeCustomer],
    subscriptions: Sequence[Subscription],
    keys: Sequence[ApiKey],
    plans: Sequence[Plan],
    suspended: Sequence[Suspension],
) -> Side:
    running = [one for one in subscriptions if one.customer_id == customer.id]
    why_suspended = [one for one in suspended if one.customer_id == customer.id]
    mine = access.of(customer, plans=plans, subscriptions=running)
    rows, _ = history.page(customer, history.Filter(), size=ROWS)
    return Side(
        customer=customer,
        names=names,
        subscriptions=running,
        keys=[one for one in keys if one.customer_id == customer.id],
        access=mine,
        reasons=why.of(customer, mine, running, why_suspended),
        suspended=why_suspended,
        history=rows,
    )
