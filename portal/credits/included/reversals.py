"""Refunds and disputes of a plan's payment: its included credits are taken back in proportion.

Credits that are left are taken first. What was spent already becomes debt, and what has expired is gone without
that. The amounts follow from what is withdrawn now, so that a refund that fails gives back what it took.
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import structlog
from sqlalchemy import ColumnElement, func, or_, select

from portal import clock, money
from portal.credits import grants, ledger
from portal.credits.orders.reversals import TAKING_BACK, WORDS
from portal.credits.top_ups import rules
from portal.customers import access, owners
from portal.enums import Mode
from portal.extensions import db, once_committed
from portal.models import CreditEntry, CreditGrant, Customer, Invoice, Payment, PeriodCredits, PlanPeriod, Reversal
from portal.payments.reversal_effects import Turn

log = structlog.get_logger()


def take(payment: Payment, turn: Turn) -> dict[str, Any]:
    """Adjust the credits that an invoice's periods gave to what is withdrawn of it. Flushes.

    Taking credits back pauses the automatic top-up. Returns facts for the customer's mail.
    """
    change, balance = settle(payment.mode, payment.invoice_id, turn.row)
    if not change:
        return {}
    facts: dict[str, Any] = {"credits": change, "balance": balance}
    if change < 0 and rules.pause(payment.customer_id, "taken_back"):
        facts["top_up_paused"] = True
    return facts


def settle(mode: Mode, invoice_id: str | None, cause: Reversal | None = None) -> tuple[int, int]:
    """Post the difference between what was taken back and what has to be; return it and the balance. Flushes.

    `cause` is the reversal that changed it, by default the newest one. The customer is locked.
    """
    payments, given = _payments(mode, invoice_id), _given(mode, invoice_id)
    causes = _reversals(payments)
    cause = cause or next((one for one in causes if one.withdrawn), None)
    if not given or cause is None:
        return 0, 0
    customer = db.session.get_one(Customer, given[0][0].customer_id)
    now = clock.now(customer.clock_at)
    grants.expire(customer.id, now)
    owed = sum(_adjust(one, grant, withdrawn(payments, mode, invoice_id), now) for one, grant in given)
    change = taken(customer.id, causes) - owed
    if not change:
        return 0, customer.credit_balance
    reason = cause.kind if change < 0 else "reinstatement"
    reference, words = _reference(customer.id, reason, cause.stripe_id), WORDS[cause.kind, change < 0]
    entry = ledger.post(customer.id, change, reason, reference, description=words, invoice=str(invoice_id))
    grants.cap(customer.id)
    access.mark_changed(customer.id)
    once_committed(
        log.info, "included_credits_reversed", credits=change, reversal=cause.stripe_id, invoice=invoice_id
    )
    return change, entry.balance_after


def _adjust(given: PeriodCredits, grant: CreditGrant, share: Fraction, now: datetime) -> int:
    """Withhold what is owed of a month as far as it is left; return how many credits are to be taken in all."""
    owed = _part(given, share)
    if grant.expires_at > now:
        withheld = min(owed, given.withheld + grant.remaining)
        if withheld != given.withheld:
            grants.keep(grant, grant.remaining + given.withheld - withheld)
            given.withheld = withheld
    return to_take(given, grant, share, now)


def to_take(given: PeriodCredits, grant: CreditGrant, share: Fraction, now: datetime) -> int:
    """Return how many of a month's credits are to be taken back when this part of its payment is withdrawn.

    Once it has expired: what was withheld, and what was spent beyond the part that is still paid for.
    """
    owed = _part(given, share)
    if grant.expires_at > now:
        return owed
    spent = given.credits - _expired(grant) - given.withheld - grant.remaining
    return given.withheld + max(0, spent - (given.credits - owed))


def _part(given: PeriodCredits, share: Fraction) -> int:
    part = given.credits * share
    return money.half_up(part.numerator, part.denominator)


def _expired(grant: CreditGrant) -> int:
    query = select(func.coalesce(-func.sum(CreditEntry.amount), 0)).filter_by(
        customer_id=grant.customer_id, reason="expiry", reference=f"grant:{grant.id}"
    )
    return int(db.session.execute(query).scalar_one())


def withdrawn(payments: Sequence[Payment], mode: Mode, invoice_id: str | None) -> Fraction:
    """Return which part of an invoice is withdrawn by refunds and disputes of its payments."""
    query = select(Invoice.total).filter_by(mode=mode, stripe_id=invoice_id)
    total = db.session.execute(query).scalar_one_or_none() or 0
    whole = max(total, sum(one.amount for one in payments))
    return (
        min(Fraction(sum(one.amount_withdrawn for one in payments), whole), Fraction(1)) if whole else Fraction(0)
    )


def taken(customer_id: int, causes: Sequence[Reversal]) -> int:
    """Return how many included credits the ledger has taken back because of these reversals."""
    names = [one.stripe_id for one in causes]
    mine = or_(CreditEntry.reference.in_(names), *(_again(name) for name in names))
    query = select(func.coalesce(-func.sum(CreditEntry.amount), 0)).where(
        CreditEntry.customer_id.in_(owners.ledgers(customer_id)), CreditEntry.reason.in_(TAKING_BACK), mine
    )
    return int(db.session.execute(query).scalar_one())


def _again(stripe_id: str) -> ColumnElement[bool]:
    return CreditEntry.reference.startswith(f"{stripe_id}:", autoescape=True)


def _reference(customer_id: int, reason: str, stripe_id: str) -> str:
    """Return the reversal's id, with a number if it changes the credits again."""
    query = select(func.count()).where(
        CreditEntry.customer_id.in_(owners.ledgers(customer_id)),
        CreditEntry.reason == reason,
        or_(CreditEntry.reference == stripe_id, _again(stripe_id)),
    )
    earlier = db.session.execute(query).scalar_one()
    return f"{stripe_id}:{earlier + 1}" if earlier else stripe_id


def compared(mode: Mode, invoice_id: str) -> tuple[int, int]:
    """Return how many credits of an invoice should be taken back, and how many the ledger has taken."""
    payments, given = _payments(mode, invoice_id), _given(mode, invoice_id)
    if not given:
        return 0, 0
    customer = db.session.get_one(Customer, given[0][0].customer_id)
    share, now = withdrawn(payments, mode, invoice_id), clock.now(customer.clock_at)
    should = sum(to_take(one, grant, share, now) for one, grant in given)
    return should, taken(customer.id, _reversals(payments))


def _payments(mode: Mode, invoice_id: str | None) -> Sequence[Payment]:
    query = select(Payment).filter_by(mode=mode, invoice_id=invoice_id).order_by(Payment.id)
    return db.session.execute(query).scalars().all()


def _reversals(payments: Sequence[Payment]) -> Sequence[Reversal]:
    query = select(Reversal).where(Reversal.payment_id.in_([one.id for one in payments]))
    return db.session.execute(query.order_by(Reversal.id.desc())).scalars().all()


def _given(mode: Mode, invoice_id: str | None) -> list[tuple[PeriodCredits, CreditGrant]]:
    """Return what an invoice's periods gave, with the grants, oldest first."""
    query = (
        select(PeriodCredits, CreditGrant)
        .join(PlanPeriod, PlanPeriod.id == PeriodCredits.period_id)
        .join(CreditGrant, CreditGrant.id == PeriodCredits.grant_id)
        .where(PlanPeriod.mode == mode, PlanPeriod.invoice_id == invoice_id)
        .order_by(PeriodCredits.id)
    )
    return [(given, grant) for given, grant in db.session.execute(query)]
