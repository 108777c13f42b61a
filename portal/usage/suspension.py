"""Suspending customers who cannot be charged for what they use, and letting them go on."""

import structlog
from sqlalchemy import update

from portal import access, audit, clock, mail
from portal.extensions import changed, db
from portal.models import Customer

log = structlog.get_logger()

# Why, in words for the customer. What an admin did, an admin undoes.
REASONS = {
    "subscription_ended": "Your pay-as-you-go agreement has ended.",
    "no_payment_method": "There is no payment method any more.",
    "unpaid": "A bill for usage was not paid in time.",
    "admin": "We suspended this account. Please write to us.",
}


def words(customer: Customer | None) -> str | None:
    """Why a customer is suspended; None for one who is not."""
    if customer is None or customer.suspended_at is None:
        return None
    return REASONS[customer.suspended_for or "admin"]


def suspend(customer_id: int, why: str, about: str) -> bool:
    """Let keys answer 402 from now on; False where the customer was suspended before. Flushes.

    `why` is one of REASONS, `about` the object at Stripe that it is about. The customer is told by mail.
    """
    now = clock.now()
    statement = update(Customer).where(Customer.id == customer_id, Customer.suspended_at.is_(None))
    if not changed(statement.values(suspended_at=now, suspended_for=why)):
        return False
    _tell(customer_id, "suspended", about, {"why": why})
    page = mail.external("usage.index")
    customer = db.session.get_one(Customer, customer_id)
    mail.tell(customer, "suspended", f"suspended:{customer_id}:{now.isoformat()}", why=REASONS[why], page=page)
    return True


def reactivate(customer_id: int, *reasons: str, about: str) -> bool:
    """Lift a suspension for one of these reasons; False where there is none. Flushes; tells by mail."""
    statement = update(Customer).where(Customer.id == customer_id, Customer.suspended_for.in_(reasons))
    if not changed(statement.values(suspended_at=None, suspended_for=None)):
        return False
    _tell(customer_id, "reactivated", about, {})
    customer = db.session.get_one(Customer, customer_id)
    key = f"reactivated:{customer_id}:{clock.now().isoformat()}"
    mail.tell(customer, "reactivated", key, page=mail.external("usage.index"))
    return True


def _tell(customer_id: int, what: str, about: str, facts: dict[str, str]) -> None:
    access.changed(customer_id)
    audit.record(f"customer.{what}", customer_id=customer_id, subject=about, after=facts)
    log.info(f"customer_{what}", customer=customer_id, about=about, **facts)
