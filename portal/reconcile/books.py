"""Our own books: what has to agree inside the database."""

from collections.abc import Iterator

from sqlalchemy import Select, and_, exists, func, or_, select, text
from sqlalchemy.orm import aliased

from portal.credits import reversals
from portal.extensions import db
from portal.models import CreditEntry, Customer, Payment, Purchase, Reversal
from portal.reconcile import earlier
from portal.reconcile.difference import Difference


def differences(mode: str) -> Iterator[Difference]:
    """Balances, orders and what was taken back, all as of one moment: others may be writing meanwhile."""
    db.session.commit()
    postgres = db.engine.dialect.name == "postgresql"
    options = {"isolation_level": "REPEATABLE READ"} if postgres else {"sqlite_begin": "DEFERRED"}
    db.session.connection(execution_options=options)
    if postgres:  # the limit on statements is there for pages; a proof takes as long as the ledger asks
        db.session.execute(text("SET LOCAL statement_timeout = 0"))
    yield from balances(mode)
    yield from orders(mode)
    yield from taken_back(mode)
    yield from earlier.differences(mode)
    db.session.commit()


def balances(mode: str) -> Iterator[Difference]:
    """sum(entries) = last balance_after = stored balance, for every customer."""
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


def orders(mode: str) -> Iterator[Difference]:
    """Every paid order of credits has its entry, of what it bought; no other order has one."""
    reference = func.coalesce(Purchase.session_id, Purchase.payment_intent)
    its_entry = and_(
        CreditEntry.customer_id == Purchase.customer_id,
        CreditEntry.reason == "purchase",
        CreditEntry.reference == reference,
    )
    given = func.coalesce(CreditEntry.amount, 0)
    due = func.coalesce(Purchase.credits, 0)
    paid = Purchase.state == "paid"
    query = (
        select(Purchase.number, Purchase.state, due, given)
        .outerjoin(CreditEntry, its_entry)
        .where(
            Purchase.mode == mode,
            Purchase.kind == "credits",
            or_(and_(paid, given != due), and_(~paid, given != 0)),
        )
        .order_by(Purchase.id)
    )
    for number, state, credits, posted in db.session.execute(query):
        expected = credits if state == "paid" else 0
        yield Difference(mode, "order", number, f"{state}: {expected} credits", f"{posted} credits")


def taken_back(mode: str) -> Iterator[Difference]:
    """The ledger has taken back of each payment what its refunds and disputes say in all."""
    withdrawn: dict[int, int] = {}
    for reversal in db.session.execute(select(Reversal).filter_by(mode=mode)).scalars():
        before = withdrawn.get(reversal.payment_id, 0)
        withdrawn[reversal.payment_id] = before + reversal.withdrawn
    for payment, taken in db.session.execute(_takings(mode)):
        owed = reversals.owed(payment, withdrawn.get(payment.id, 0))
        if taken != owed:
            expected = f"{owed} credits taken back"
            yield Difference(mode, "refunds", payment.stripe_id, expected, f"{taken} credits")


def _takings(mode: str) -> Select[Payment, int]:
    """Payments of which anything was or should have been taken back, with how many credits were."""
    reverses = and_(
        CreditEntry.customer_id == Payment.customer_id,
        CreditEntry.purchase_id == Payment.purchase_id,
        CreditEntry.reason.in_(reversals.TAKING_BACK),
    )
    taken = select(func.coalesce(-func.sum(CreditEntry.amount), 0)).where(reverses).scalar_subquery()
    known = exists().where(Reversal.payment_id == Payment.id)
    is_credits = (Payment.mode == mode, Payment.kind == "credits")
    return select(Payment, taken).where(*is_credits, or_(known, taken != 0)).order_by(Payment.id)
