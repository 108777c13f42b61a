"""One user in both modes, read with a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import g
from sqlalchemy import select
from sqlalchemy.orm import joinedload, lazyload
from sqlalchemy.orm.interfaces import ORMOption

from portal import clock
from portal.admin import access_reasons
from portal.admin.access_reasons import Reason
from portal.billing.price_changes import words
from portal.credits.history import transactions
from portal.credits.included import overview
from portal.customers import access, suspensions
from portal.customers.access import Access
from portal.extensions import db
from portal.models import (
    ApiKey,
    CreditGrant,
    Customer,
    GivenPlan,
    PeriodCredits,
    Plan,
    StripeCustomer,
    Subscription,
    Suspension,
    User,
)
from portal.models.suspension import SuspensionReason
from portal.usage.included import units
from portal.usage.included.units import Included
from portal.usage.monthly_run.months import Month

Row = TypeVar("Row", ApiKey, Subscription)

ROWS = 15  # of the history; the customer's own page has all rows


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
    given: GivenPlan | None
    history: list[transactions.Row]
    units: list[Included]
    credits: list[tuple[PeriodCredits, CreditGrant | None]]

    @property
    def price_changes(self) -> dict[int, str]:
        """Return the price that each subscription changes to, after a notice, and when."""
        found = ((one, words.of(one)) for one in self.subscriptions)
        return {one.id: f"{words.price(one, change)} {words.when(one, change)}" for one, change in found if change}

    @property
    def is_suspended_by_admin(self) -> bool:
        """Return whether an admin suspended the customer, possibly among other reasons."""
        return any(one.reason == SuspensionReason.ADMIN for one in self.suspended)

    @property
    def is_lifted_by_admin(self) -> bool:
        """Return whether there is a suspension that an admin can lift."""
        return any(SuspensionReason(one.reason).is_lifted_by_admin for one in self.suspended)


def sides(user: User) -> list[Side]:
    """List the live side, then the test side; only modes with an order or a key."""
    mine = (GivenPlan.customer_id == Customer.id) & GivenPlan.ended_at.is_(None)
    query = select(Customer, StripeCustomer, GivenPlan).outerjoin(StripeCustomer).outerjoin(GivenPlan, mine)
    query = query.where(Customer.user_id == user.id)
    # Its inner join would drop customers who are not at Stripe yet.
    query = query.options(lazyload(StripeCustomer.customer))
    named: dict[Customer, list[StripeCustomer]] = {}
    given: dict[int, GivenPlan | None] = {}
    for customer, name, plan in db.session.execute(query.order_by(Customer.mode, StripeCustomer.id.desc())):
        named.setdefault(customer, []).extend([name] if name else [])
        given[customer.id] = plan
    ids = [customer.id for customer in named]
    subscriptions = _newest_first(Subscription, ids, joinedload(Subscription.price_change))
    keys = _newest_first(ApiKey, ids)
    suspended = suspensions.standing(named)
    included = units.shown(ids, Month.of(clock.now()))
    return [
        _side(customer, names, subscriptions, keys, suspended, given[customer.id], included.get(customer.id, []))
        for customer, names in named.items()
    ]


def plans() -> Sequence[Plan]:
    """Return every plan, including withdrawn ones, in the catalogue's order. Queried once per request."""
    if "all_plans" not in g:
        g.all_plans = db.session.execute(select(Plan).order_by(Plan.position)).scalars().all()
    found: Sequence[Plan] = g.all_plans
    return found


def _newest_first(model: type[Row], ids: list[int], *options: ORMOption) -> Sequence[Row]:
    query = select(model).where(model.customer_id.in_(ids)).options(*options)
    return db.session.execute(query.order_by(model.id.desc())).scalars().all()


def _side(
    customer: Customer,
    names: list[StripeCustomer],
    subscriptions: Sequence[Subscription],
    keys: Sequence[ApiKey],
    suspended: Sequence[Suspension],
    given: GivenPlan | None,
    included: list[Included],
) -> Side:
    running = [one for one in subscriptions if one.customer_id == customer.id]
    why_suspended = [one for one in suspended if one.customer_id == customer.id]
    mine = access.of(customer, plans=plans(), subscriptions=running)
    rows, _ = transactions.page(customer, transactions.Filter(), size=ROWS)
    return Side(
        customer=customer,
        names=names,
        subscriptions=running,
        keys=[one for one in keys if one.customer_id == customer.id],
        access=mine,
        reasons=access_reasons.of(customer, mine, running, why_suspended),
        suspended=why_suspended,
        given=given,
        history=rows,
        units=included,
        credits=overview.newest(customer.id),
    )
