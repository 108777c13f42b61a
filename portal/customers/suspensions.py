"""Suspending customers, and lifting a suspension when its last reason ends."""

from collections.abc import Iterable

import structlog
from sqlalchemy import exists, select, update

from portal import audit, clock, mail
from portal.customers import access
from portal.extensions import db, insert, once_committed, rows_changed
from portal.models import Customer, Suspension, TopUpRule, UsageAgreement
from portal.models.suspension import SuspensionReason
from portal.sync import locks

log = structlog.get_logger()


def reasons(customer: Customer | None) -> list[SuspensionReason]:
    """List a customer's open reasons, oldest first."""
    return [SuspensionReason(one.reason) for one in standing([customer] if customer else [])]


def standing(customers: Iterable[Customer]) -> list[Suspension]:
    """List the open suspensions of these customers, oldest first. Runs no query if none of them is suspended."""
    ids = [customer.id for customer in customers if customer.suspended_at]
    if not ids:
        return []
    query = select(Suspension).where(Suspension.customer_id.in_(ids), Suspension.lifted_at.is_(None))
    return list(db.session.execute(query.order_by(Suspension.id)).scalars())


def add(customer_id: int, reason: SuspensionReason, about: str) -> bool:
    """Suspend a customer for a reason; return False if that reason is open already. Flushes.

    `about` is the id of the object concerned, at Stripe or here. From the first reason on, requests with API keys
    get a 402. Each reason is emailed to the customer.
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
    """Lift these reasons and return those that were open. Flushes.

    When the last open reason is lifted, the suspension ends, and the customer gets an email. `about` is the id of
    the object that ended it.
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
    ended = rows_changed(update(Customer).where(Customer.id == customer_id, ~still).values(suspended_at=None))
    for _, reason in lifted:
        _note(customer_id, "reactivated" if ended else "suspension_lifted", about, reason)
    if ended:
        # A top-up is not checked meanwhile.
        rule = update(TopUpRule).where(TopUpRule.customer_id == customer_id, TopUpRule.enabled)
        db.session.execute(rule.values(next_try_at=clock.now()))
        customer = db.session.get_one(Customer, customer_id)
        mail.tell(customer, "reactivated", f"reactivated:{lifted[-1][0]}", page=mail.external("usage.index"))
    return [reason for _, reason in lifted]


def end_of_agreement(customer_id: int, about: str) -> None:
    """Suspend a customer whose pay-as-you-go agreement has ended, unless they have something else. Flushes."""
    if not _has_something(customer_id):
        add(customer_id, SuspensionReason.SUBSCRIPTION_ENDED, about)


def review(customer_id: int, about: str) -> None:
    """Lift `subscription_ended` if the customer has a plan, credits or an agreement again. Flushes."""
    ended = SuspensionReason.SUBSCRIPTION_ENDED
    query = select(Suspension.id).filter_by(customer_id=customer_id, reason=ended, lifted_at=None)
    if db.session.execute(query).first() and _has_something(customer_id):
        lift(customer_id, ended, about=about)


def _has_something(customer_id: int) -> bool:
    """Return whether a customer has a plan, credits or a pay-as-you-go agreement now."""
    running = select(UsageAgreement.id).filter_by(customer_id=customer_id, ended_at=None)
    if db.session.execute(running).first():
        return True
    query = select(Customer).filter_by(id=customer_id).execution_options(populate_existing=True)
    customer = db.session.execute(query).scalar_one()
    return customer.credit_balance > 0 or access.of(customer).tier != access.FREE


def _note(customer_id: int, what: str, about: str, reason: str) -> None:
    access.mark_changed(customer_id)
    audit.record(f"customer.{what}", customer_id=customer_id, subject=about, after={"why": str(reason)})
    once_committed(log.info, f"customer_{what}", customer=customer_id, about=about, why=str(reason))
