"""Suspending customers, and lifting a suspension when its last reason is gone."""

from collections.abc import Iterable

import structlog
from sqlalchemy import exists, select, update

from portal import access, audit, clock, mail
from portal.customers import locks
from portal.extensions import changed, db, insert
from portal.models import Customer, Suspension, UsageAgreement
from portal.models.suspension import SuspensionReason

log = structlog.get_logger()


def reasons(customer: Customer | None) -> list[SuspensionReason]:
    """The open reasons of a customer, oldest first."""
    return [SuspensionReason(one.reason) for one in standing([customer] if customer else [])]


def standing(customers: Iterable[Customer]) -> list[Suspension]:
    """The open suspensions of these customers, oldest first. Asks nothing where none of them is suspended."""
    ids = [customer.id for customer in customers if customer.suspended_at]
    if not ids:
        return []
    query = select(Suspension).where(Suspension.customer_id.in_(ids), Suspension.lifted_at.is_(None))
    return list(db.session.execute(query.order_by(Suspension.id)).scalars())


def add(customer_id: int, reason: SuspensionReason, about: str) -> bool:
    """Suspend a customer for a reason; False where that reason is open already. Flushes.

    `about` is the id of what it is about, Stripe's or ours. From the first reason on API keys answer 402. The
    customer is told of each reason by mail.
    """
    locks.lock(customer_id)
    row = {"customer_id": customer_id, "reason": reason, "about": about, "created_at": clock.now()}
    statement = insert(Suspension).values(row).on_conflict_do_nothing().returning(Suspension.id)
    row_id = db.session.execute(statement).scalar_one_or_none()
    if row_id is None:
        return False
    first = update(Customer).where(Customer.id == customer_id, Customer.suspended_at.is_(None))
    db.session.execute(first.values(suspended_at=clock.now()))
    _note(customer_id, "suspended", about, reason)
    customer = db.session.get_one(Customer, customer_id)
    page = mail.external("usage.index")
    mail.tell(customer, "suspended", f"suspended:{row_id}", why=reason.words, page=page)
    return True


def lift(customer_id: int, *which: SuspensionReason, about: str) -> list[SuspensionReason]:
    """Lift these reasons where they are open; gives those that were. Flushes.

    With the last open reason the suspension ends, and the customer is told so by mail. `about` is the id of what
    ended it.
    """
    locks.lock(customer_id)
    rows = update(Suspension).where(
        Suspension.customer_id == customer_id, Suspension.reason.in_(which), Suspension.lifted_at.is_(None)
    )
    values = rows.values(lifted_at=clock.now()).returning(Suspension.id, Suspension.reason)
    lifted = sorted((row.id, SuspensionReason(row.reason)) for row in db.session.execute(values))
    if not lifted:
        return []
    still = exists().where(Suspension.customer_id == customer_id, Suspension.lifted_at.is_(None))
    ended = changed(update(Customer).where(Customer.id == customer_id, ~still).values(suspended_at=None))
    for _, reason in lifted:
        _note(customer_id, "reactivated" if ended else "suspension_lifted", about, reason)
    if ended:
        customer = db.session.get_one(Customer, customer_id)
        mail.tell(customer, "reactivated", f"reactivated:{lifted[-1][0]}", page=mail.external("usage.index"))
    return [reason for _, reason in lifted]


def end_of_agreement(customer_id: int, about: str) -> None:
    """Suspend a customer whose pay-as-you-go agreement has ended, where nothing else is there. Flushes."""
    if not _has_something(customer_id):
        add(customer_id, SuspensionReason.SUBSCRIPTION_ENDED, about)


def review(customer_id: int, about: str) -> None:
    """Lift `subscription_ended` where a plan, credits or an agreement is there again. Flushes."""
    ended = SuspensionReason.SUBSCRIPTION_ENDED
    query = select(Suspension.id).filter_by(customer_id=customer_id, reason=ended, lifted_at=None)
    if db.session.execute(query).first() and _has_something(customer_id):
        lift(customer_id, ended, about=about)


def _has_something(customer_id: int) -> bool:
    """Whether a customer has a plan, credits or a pay-as-you-go agreement now."""
    running = select(UsageAgreement.id).filter_by(customer_id=customer_id, ended_at=None)
    if db.session.execute(running).first():
        return True
    query = select(Customer).filter_by(id=customer_id).execution_options(populate_existing=True)
    customer = db.session.execute(query).scalar_one()
    return customer.credit_balance > 0 or access.of(customer).tier != access.FREE


def _note(customer_id: int, what: str, about: str, reason: str) -> None:
    access.changed(customer_id)
    audit.record(f"customer.{what}", customer_id=customer_id, subject=about, after={"why": str(reason)})
    log.info(f"customer_{what}", customer=customer_id, about=about, why=str(reason))
