"""Emails when 80 and 100% of a month's included credits are used, once each."""

from collections.abc import Sequence

from sqlalchemy import select

from portal import clock, mail
from portal.catalogue import items
from portal.extensions import db
from portal.models import CreditGrant, Customer, PeriodCredits
from portal.sync import locks

AT_ONCE = 500  # grants in one run


def run() -> int:
    """Scheduled task: mail customers whose included credits run low, and return how many. Commits after each.

    A grant says itself from when on it is due: `warn_at`. Of two steps at once only the later one is mailed.
    """
    told = 0
    for grant_id, customer_id in _due():
        customer = locks.lock(customer_id)
        grant = db.session.get_one(CreditGrant, grant_id, populate_existing=True)
        if grant.warn_at is not None and grant.remaining <= grant.warn_at:
            told += _tell(customer, grant)
        db.session.commit()
    return told


def _due() -> Sequence[tuple[int, int]]:
    query = select(CreditGrant.id, CreditGrant.customer_id).where(CreditGrant.remaining <= CreditGrant.warn_at)
    found = [
        (row.id, row.customer_id) for row in db.session.execute(query.order_by(CreditGrant.id).limit(AT_ONCE))
    ]
    db.session.commit()
    return found


def _tell(customer: Customer, grant: CreditGrant) -> bool:
    percent = 80 if grant.remaining else 100
    grant.warn_at = 0 if grant.remaining else None
    query = select(PeriodCredits).filter_by(grant_id=grant.id)
    given = db.session.execute(query).scalar_one_or_none()
    if given is None or grant.expires_at <= clock.now(customer.clock_at):
        grant.warn_at = None
        return False
    plan = items.plan_of(given.period.tier)
    mail.tell(
        customer,
        "included_credits",
        f"included-credits:{grant.id}:{percent}",
        percent=percent,
        plan=plan.name if plan else given.period.tier.capitalize(),
        credits=grant.amount,
        left=grant.remaining,
        expires_at=grant.expires_at.isoformat(),
        page=mail.external("credits.index"),
    )
    return True
