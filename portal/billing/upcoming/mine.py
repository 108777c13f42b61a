"""Everything about a customer's billing that the billing page shows, in five queries."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import lazyload

from portal import clock
from portal.billing import invoices
from portal.billing.plan_change import slow_payments
from portal.customers import access, stripe_customers
from portal.customers.access import Owned
from portal.enums import Mode
from portal.extensions import db
from portal.models import (
    CreditPackage,
    Customer,
    GivenPlan,
    Invoice,
    Order,
    Plan,
    StripeCustomer,
    Subscription,
    SubscriptionChange,
    TopUpRule,
    UsageAgreement,
    UsageSettings,
    User,
)
from portal.payments.status import Standing
from portal.usage import month_usage
from portal.usage.month_usage import MonthUsage
from portal.usage.monthly_run.months import Month


@dataclass(frozen=True)
class Named:
    """A user's customer, its ids at Stripe, and the rows of which it has one at most."""

    customer: Customer
    names: list[StripeCustomer]
    rule: TopUpRule | None
    package: CreditPackage | None  # that the rule buys; None: a custom amount
    agreement: UsageAgreement | None
    usage_settings: UsageSettings | None
    given: GivenPlan | None


@dataclass(frozen=True)
class Mine:
    """The same, with the subscriptions that have not ended, newest first, each with its unpaid change."""

    named: Named
    subscriptions: dict[Subscription, SubscriptionChange | None]
    plans: Sequence[Plan]
    owned: list[Owned]  # plans without a subscription
    invoices: dict[Invoice, Standing] = field(default_factory=dict)
    usage: MonthUsage | None = None

    @property
    def customer(self) -> Customer:
        """Return the customer."""
        return self.named.customer

    def asked_at(self, subscription: Subscription) -> datetime | None:
        """Return when Stripe was last asked about the customer that a subscription belongs to."""
        names = (one for one in self.named.names if one.stripe_id == subscription.stripe_customer)
        return next((one.asked_at for one in names), subscription.previewed_at)


def named(user: User, mode: Mode = Mode.LIVE) -> Named | None:
    """Return the user's customer; None before the first order or key. Runs one query."""
    running = and_(UsageAgreement.customer_id == Customer.id, UsageAgreement.ended_at.is_(None))
    at_stripe = and_(StripeCustomer.customer_id == Customer.id, StripeCustomer.deleted_at.is_(None))
    query = (
        select(Customer, StripeCustomer, TopUpRule, CreditPackage, UsageAgreement, UsageSettings, GivenPlan)
        .outerjoin(StripeCustomer, at_stripe)
        .outerjoin(TopUpRule, TopUpRule.customer_id == Customer.id)
        .outerjoin(CreditPackage, CreditPackage.id == TopUpRule.package_id)
        .outerjoin(UsageAgreement, running)
        .outerjoin(UsageSettings, UsageSettings.customer_id == Customer.id)
        .outerjoin(GivenPlan, and_(GivenPlan.customer_id == Customer.id, GivenPlan.ended_at.is_(None)))
        .where(Customer.user_id == user.id, Customer.mode == mode)
        # Its inner join would drop customers who are not at Stripe yet.
        .options(lazyload(StripeCustomer.customer))
        .order_by(StripeCustomer.id)
    )
    rows = db.session.execute(query).all()
    if not rows:
        return None
    customer, _, rule, package, agreement, settings, given = rows[0]
    stripe_customers.remember(customer)
    names = [row[1] for row in rows if row[1] is not None and row[1].stripe_id]
    return Named(customer, names, rule, package, agreement, settings, given)


def subscriptions_of(found: Named) -> dict[Subscription, SubscriptionChange | None]:
    """Return the subscriptions that have not ended, newest first. Runs one query."""
    return slow_payments.beside(found.customer.id)


def everything(found: Named, beside: dict[Subscription, SubscriptionChange | None], month: Month) -> Mine:
    """Return what the page shows. Runs three queries."""
    plans, owned = _plans(found)
    return Mine(
        found,
        beside,
        plans,
        owned,
        invoices.to_show(found.customer.id),
        month_usage.of(found.customer.id, month),
    )


def _plans(found: Named) -> tuple[list[Plan], list[Owned]]:
    """Return all plans, including withdrawn ones, and those that were paid for once or given."""
    is_owned = Plan.tier.in_(select(Order.tier).where(Order.customer_id == found.customer.id, *access.paid_once()))
    rows = db.session.execute(select(Plan, is_owned).order_by(Plan.position)).all()
    owned = [Owned(plan.tier) for plan, is_paid in rows if is_paid]
    given = found.given
    if given and (given.until is None or given.until > clock.now(found.customer.clock_at)):
        owned.append(Owned(given.tier, given.until, is_given=True))
    return [plan for plan, _ in rows], owned
