"""Consistency checks inside the database."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Select, and_, exists, func, or_, select, text
from sqlalchemy.orm import aliased

from portal import clock
from portal.credits.orders import reversals
from portal.enums import Mode
from portal.extensions import db
from portal.models import CreditEntry, Customer, OpenCall, Order, OrderState, Payment, Reversal, SubscriptionChange
from portal.reconcile import figures, included_credits, past_errors
from portal.reconcile.difference import Difference
from portal.sync.open_calls import CALL_LIVES

LONGEST_PAYMENT = timedelta(days=30)  # longer than any bank debit takes


def differences(mode: Mode) -> Iterator[Difference]:
    """Check balances, orders, reversals and included credits at one moment: others may be writing meanwhile."""
    db.session.commit()
    postgres = db.engine.dialect.name == "postgresql"
    options = {"isolation_level": "REPEATABLE READ"} if postgres else {"sqlite_begin": "DEFERRED"}
    db.session.connection(execution_options=options)
    if postgres:  # the statement timeout is for pages; a check takes as long as the ledger is
        db.session.execute(text("SET LOCAL statement_timeout = 0"))
    yield from balances(mode)
    yield from orders(mode)
    yield from taken_back(mode)
    yield from included_credits.differences(mode)
    yield from past_errors.differences(mode)
    yield from figures.differences(mode)
    yield from open_calls(mode)
    db.session.commit()


def balances(mode: Mode) -> Iterator[Difference]:
    """Check that sum(entries) = last balance_after = stored balance, for every customer."""
    sums = (
        select(
            CreditEntry.customer_id.label("customer_id"),
            func.sum(CreditEntry.amount).label("total"),
            func.max(CreditEntry.id).label("last_id"),
        )
        .group_by(CreditEntry.customer_id)
        .subquery()
    )
    last = aliased(CreditEntry)
    total, after = func.coalesce(sums.c.total, 0), func.coalesce(last.balance_after, 0)
    query = (
        select(Customer.id, Customer.credit_balance, total, after)
        .outerjoin(sums, sums.c.customer_id == Customer.id)
        .outerjoin(last, last.id == sums.c.last_id)
        .where(Customer.mode == mode, or_(total != after, total != Customer.credit_balance))
        .order_by(Customer.id)
    )
    for customer_id, stored, added_up, after_last in db.session.execute(query):
        found = f"balance {stored}, after the last entry {after_last}"
        yield Difference(mode, "balance", f"customer {customer_id}", f"sum of entries {added_up}", found)


def orders(mode: Mode) -> Iterator[Difference]:
    """Check that every paid order of credits, and no other order, has a ledger entry of its credits."""
    reference = func.coalesce(Order.session_id, Order.payment_intent)
    its_entry = and_(
        CreditEntry.customer_id == Order.customer_id,
        CreditEntry.reason == "purchase",
        CreditEntry.reference == reference,
    )
    given = func.coalesce(CreditEntry.amount, 0)
    due = func.coalesce(Order.credits, 0)
    paid = Order.state == OrderState.PAID
    query = (
        select(Order.number, Order.state, due, given)
        .outerjoin(CreditEntry, its_entry)
        .where(
            Order.mode == mode,
            Order.kind == "credits",
            or_(and_(paid, given != due), and_(~paid, given != 0)),
        )
        .order_by(Order.id)
    )
    for number, state, credits, posted in db.session.execute(query):
        expected = credits if state == OrderState.PAID else 0
        yield Difference(mode, "order", number, f"{state}: {expected} credits", f"{posted} credits")


def taken_back(mode: Mode) -> Iterator[Difference]:
    """Check that the credits taken back match each payment's refunds and disputes in total."""
    withdrawn: dict[int, int] = {}
    for reversal in db.session.execute(select(Reversal).filter_by(mode=mode)).scalars():
        before = withdrawn.get(reversal.payment_id, 0)
        withdrawn[reversal.payment_id] = before + reversal.withdrawn
    for payment, taken in db.session.execute(_takings(mode)):
        owed = reversals.owed(payment, withdrawn.get(payment.id, 0))
        if taken != owed:
            expected = f"{owed} credits taken back"
            yield Difference(mode, "refunds", payment.stripe_id, expected, f"{taken} credits")


def _takings(mode: Mode) -> Select[Payment, int]:
    """Select payments with credits taken back or owed, and how many were taken."""
    reverses = and_(
        CreditEntry.customer_id == Payment.customer_id,
        CreditEntry.order_id == Payment.order_id,
        CreditEntry.reason.in_(reversals.TAKING_BACK),
    )
    taken = select(func.coalesce(-func.sum(CreditEntry.amount), 0)).where(reverses).scalar_subquery()
    known = exists().where(Reversal.payment_id == Payment.id)
    is_credits = (Payment.mode == mode, Payment.kind == "credits")
    return select(Payment, taken).where(*is_credits, or_(known, taken != 0)).order_by(Payment.id)


def open_calls(mode: Mode) -> Iterator[Difference]:
    """List calls to Stripe with an unknown outcome, and changes that stay unpaid for long, oldest first."""
    left = select(OpenCall).where(
        OpenCall.mode == mode, OpenCall.settled_at.is_(None), OpenCall.called_at < clock.now() - CALL_LIVES
    )
    for call in db.session.execute(left.order_by(OpenCall.id)).scalars():
        about = f"{call.claim} {call.claim_id} {call.step}".strip()
        since = f"{call.called_at:%Y-%m-%d %H:%M} UTC"
        if call.unclear_at:
            yield Difference(mode, "unclear call", about, "somebody decides about it", f"unclear since {since}")
        else:
            yield Difference(mode, "open call", about, "an answer of Stripe's", f"none since {since}")
    paying = select(SubscriptionChange).where(
        SubscriptionChange.mode == mode,
        SubscriptionChange.state == "paying",
        SubscriptionChange.created_at < clock.now() - LONGEST_PAYMENT,
    )
    for change in db.session.execute(paying.order_by(SubscriptionChange.id)).scalars():
        since = f"paying since {change.created_at:%Y-%m-%d}"
        yield Difference(mode, "plan change", change.subscription_id, "paid or failed within 30 days", since)
