"""Credits that plans include: every paid month gave its credits exactly once, and refunds took theirs back."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import and_, exists, select

from portal import clock
from portal.credits.included import giving, reversals
from portal.enums import Mode
from portal.extensions import db
from portal.models import (
    CreditEntry,
    CreditGrant,
    Customer,
    Invoice,
    InvoiceStatus,
    Payment,
    PeriodCredits,
    PlanPeriod,
    Reversal,
    Subscription,
    SubscriptionStatus,
)
from portal.reconcile.difference import Difference

WHAT = "included credits"
LATE = timedelta(hours=1)  # scheduled tasks run each minute, and webhooks may still be on their way


def differences(mode: Mode) -> Iterator[Difference]:
    """Yield all of them for a mode, inside the transaction of `in_database`."""
    yield from months(mode)
    yield from ledger(mode)
    yield from unpaid(mode)
    yield from strays(mode)
    yield from taken_back(mode)


def months(mode: Mode) -> Iterator[Difference]:
    """Check that each month of a paid period that has begun was given."""
    query = select(PlanPeriod, Customer.clock_at).join(Customer, Customer.id == PlanPeriod.customer_id)
    query = query.where(PlanPeriod.mode == mode, PlanPeriod.invoice_id.is_not(None), PlanPeriod.credits > 0)
    given = select(PeriodCredits.period_id, PeriodCredits.starts_at)
    given = given.join(PlanPeriod, PlanPeriod.id == PeriodCredits.period_id).where(PlanPeriod.mode == mode)
    known = {(row.period_id, row.starts_at) for row in db.session.execute(given)}
    for period, clock_at in db.session.execute(query.order_by(PlanPeriod.id)):
        begun, _ = giving.months(period, clock.now(clock_at) - LATE)
        missing = [month for month in begun if (period.id, month.start) not in known]
        if missing:
            expected = f"{period.tier}: credits of {len(begun)} months given"
            yield Difference(mode, WHAT, _about(period), expected, f"{len(begun) - len(missing)} months")


def ledger(mode: Mode) -> Iterator[Difference]:
    """Check that what was given for a month is one entry of the ledger, of as many credits."""
    query = (
        select(PeriodCredits, PlanPeriod, CreditEntry)
        .join(PlanPeriod, PlanPeriod.id == PeriodCredits.period_id)
        .join(CreditGrant, CreditGrant.id == PeriodCredits.grant_id)
        .join(CreditEntry, CreditEntry.id == CreditGrant.entry_id)
        .where(PlanPeriod.mode == mode, CreditEntry.reason == "grant", CreditEntry.amount != PeriodCredits.credits)
    )
    for given, period, entry in db.session.execute(query.order_by(PeriodCredits.id)):
        yield Difference(mode, WHAT, _about(period), f"{given.credits} credits", f"an entry of {entry.amount}")


def unpaid(mode: Mode) -> Iterator[Difference]:
    """Check that a paid invoice of a running subscription has paid the period that it is in."""
    elsewhere = exists().where(PlanPeriod.mode == Invoice.mode, PlanPeriod.invoice_id == Invoice.stripe_id)
    paid = exists().where(
        Invoice.mode == PlanPeriod.mode,
        Invoice.subscription_id == PlanPeriod.subscription_id,
        Invoice.status == InvoiceStatus.PAID,
        Invoice.created_at >= PlanPeriod.from_at,
        Invoice.synced_at < clock.now() - LATE,
        ~elsewhere,
    )
    same = and_(Subscription.mode == PlanPeriod.mode, Subscription.stripe_id == PlanPeriod.subscription_id)
    query = select(PlanPeriod).join(Subscription, same)
    query = query.where(
        PlanPeriod.mode == mode,
        PlanPeriod.invoice_id.is_(None),
        PlanPeriod.ended_at.is_(None),
        PlanPeriod.credits > 0,
        Subscription.status == SubscriptionStatus.ACTIVE,
        Subscription.price_id == PlanPeriod.price_id,
        Subscription.current_period_end == PlanPeriod.ends_at,
        paid,
    )
    for period in db.session.execute(query.order_by(PlanPeriod.id)).scalars():
        yield Difference(mode, WHAT, _about(period), f"{period.tier}: {period.credits} credits", "0 credits")


def strays(mode: Mode) -> Iterator[Difference]:
    """Check that no grant refers to an invoice without being the credits of one of its months."""
    is_known = exists().where(PeriodCredits.grant_id == CreditGrant.id)
    query = (
        select(CreditEntry, CreditGrant.id)
        .join(Customer, Customer.id == CreditEntry.customer_id)
        .join(CreditGrant, CreditGrant.entry_id == CreditEntry.id)
        .where(Customer.mode == mode, CreditEntry.reason == "grant", ~is_known)
        .where(CreditEntry.reference.startswith("in_", autoescape=True))
    )
    for entry, grant_id in db.session.execute(query.order_by(CreditEntry.id)).all():
        invoice_id, moved = entry.reference.partition(":")[0], f"moved:{entry.customer_id}:{grant_id}"
        is_ours = select(Invoice.id).filter_by(mode=mode, stripe_id=invoice_id)
        elsewhere = select(CreditEntry.id).filter_by(reason="adjustment", reference=moved)
        if db.session.execute(is_ours).first() and not db.session.execute(elsewhere).first():
            yield Difference(mode, WHAT, entry.reference, "no further credits", f"{entry.amount} credits")


def taken_back(mode: Mode) -> Iterator[Difference]:
    """Check that what was taken back of included credits matches each invoice's refunds and disputes in total."""
    query = (
        select(Payment.invoice_id)
        .join(Reversal, Reversal.payment_id == Payment.id)
        .join(PlanPeriod, and_(PlanPeriod.mode == Payment.mode, PlanPeriod.invoice_id == Payment.invoice_id))
        .where(Payment.mode == mode, PlanPeriod.credits > 0)
        .distinct()
    )
    for invoice_id in db.session.execute(query.where(Payment.invoice_id.is_not(None))).scalars().all():
        should, taken = reversals.compared(mode, str(invoice_id))
        if should != taken:
            expected = f"{should} credits taken back"
            yield Difference(mode, WHAT, str(invoice_id), expected, f"{taken} credits")


def _about(period: PlanPeriod) -> str:
    return f"{period.subscription_id} {period.invoice_id or ''}".strip()
