"""A customer's settings for usage: a spend limit, whether it stops or warns, and whether credits pay first."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select

from portal import audit, clock
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db, insert
from portal.models import Customer, UsageAgreement, UsageSettings, User


@dataclass(frozen=True)
class Mine:
    """A user's live customer, settings and active agreement, each None if it does not exist."""

    customer: Customer | None
    chosen: UsageSettings | None
    agreement: UsageAgreement | None


def of(user: User) -> Mine:
    """Return them with one query."""
    running = and_(UsageAgreement.customer_id == Customer.id, UsageAgreement.ended_at.is_(None))
    query = (
        select(Customer, UsageSettings, UsageAgreement)
        .outerjoin(UsageSettings, UsageSettings.customer_id == Customer.id)
        .outerjoin(UsageAgreement, running)
        .where(Customer.user_id == user.id, Customer.mode == Mode.LIVE)
    )
    row = db.session.execute(query).one_or_none()
    if row is None:
        return Mine(None, None, None)
    stripe_customers.remember(row[0])
    return Mine(*row)


def set_limit(customer_id: int, amount: int | None, *, hard_stop: bool) -> None:
    """Set the monthly limit in minor units; None: no limit. Flushes."""
    facts = {"limit_amount": amount, "hard_stop": hard_stop and amount is not None}
    _write(customer_id, facts, limit_due=amount is not None)


def let_credits_pay(customer_id: int, *, first: bool) -> None:
    """Set whether the monthly run takes credits before it invoices. Flushes."""
    _write(customer_id, {"credits_first": first})


def _write(customer_id: int, facts: dict[str, Any], **marks: bool) -> None:
    row = {"customer_id": customer_id, "hard_stop": False, "credits_first": False} | facts
    changed = facts | marks | {"updated_at": clock.now()}
    statement = insert(UsageSettings).values(row | changed)
    db.session.execute(statement.on_conflict_do_update(index_elements=["customer_id"], set_=changed))
    audit.record("usage.settings_changed", customer_id=customer_id, after=facts)
