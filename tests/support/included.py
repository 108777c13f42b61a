"""What plans include, for tests: the catalogue's numbers, and what was given and is left of them."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, update

from portal.extensions import db
from portal.models import CreditEntry, CreditGrant, Customer, Meter, PeriodCredits, Plan, PlanPeriod


def include(tier: str, **numbers: Any) -> None:
    """Have the catalogue say that a plan includes these numbers each month. Commits."""
    db.session.execute(update(Plan).where(Plan.tier == tier).values(numbers))
    db.session.commit()


class Grant(NamedTuple):
    """A grant as a test compares it."""

    credits: int
    left: int
    expires_at: datetime
    reference: str


def grants_of(customer_id: int) -> list[Grant]:
    """The customer's included credits, oldest first."""
    query = (
        select(CreditGrant.amount, CreditGrant.remaining, CreditGrant.expires_at, CreditEntry.reference)
        .join(CreditEntry, CreditEntry.id == CreditGrant.entry_id)
        .join(PeriodCredits, PeriodCredits.grant_id == CreditGrant.id)
        .where(CreditGrant.customer_id == customer_id)
        .order_by(CreditGrant.id)
    )
    found = [Grant(*row) for row in db.session.execute(query)]
    db.session.commit()
    return found


def periods_of(customer_id: int) -> list[PlanPeriod]:
    """The customer's periods, oldest first."""
    found = list(db.session.execute(select(PlanPeriod).filter_by(customer_id=customer_id)).scalars())
    db.session.commit()
    return found


def hold(customer_id: int, included: dict[str, int], starts: datetime, ends: datetime, **facts: Any) -> None:
    """A paid period that includes these units, as a sync writes it. Commits."""
    values = {
        "customer_id": customer_id,
        "mode": db.session.get_one(Customer, customer_id).mode,
        "subscription_id": f"sub_{customer_id}",
        "price_id": "price_1",
        "tier": "pro",
        "is_trial": False,
        "starts_at": starts,
        "ends_at": ends,
        "anchor_at": starts,
        "from_at": starts,
        "credits": 0,
        "rollover": 0,
        "included": included,
        "invoice_id": "in_1",
        "created_at": starts,
    }
    db.session.add(PlanPeriod(**values | facts))
    db.session.commit()


def by_key(numbers: dict[int, int]) -> dict[str, int]:
    """Return the numbers by their meter's key instead of its id."""
    keys = {row.id: row.key for row in db.session.execute(select(Meter.id, Meter.key))}
    db.session.rollback()
    return {keys[meter_id]: number for meter_id, number in numbers.items()}
