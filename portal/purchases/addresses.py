"""Telling Stripe the mail addresses that customers changed: its receipts go there."""

import structlog
from sqlalchemy import select, update

from portal import gateway
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, StripeCustomer, User
from portal.purchases import customers

log = structlog.get_logger()

MOST = 50  # told in one go


def changed(user: User) -> None:
    """Note that Stripe is to be told the user's address, under every name that it has for them. Flushes."""
    mine = StripeCustomer.customer_id.in_(select(Customer.id).where(Customer.user_id == user.id))
    statement = update(StripeCustomer).where(mine, StripeCustomer.is_current)
    db.session.execute(statement.values(new_email=user.email), execution_options={"synchronize_session": False})


def tell() -> int:
    """Tell Stripe what was noted; gives how many. Commits; who could not be told is told at the next turn."""
    waiting = (StripeCustomer.new_email.is_not(None), StripeCustomer.stripe_id.is_not(None))
    names = db.session.execute(select(StripeCustomer).where(*waiting).limit(MOST)).scalars().all()
    db.session.commit()
    return sum(_tell(name) for name in names)


def _tell(name: StripeCustomer) -> bool:
    email, stripe_id = name.new_email, name.stripe_id
    assert email is not None
    assert stripe_id is not None
    try:
        facts = gateway.of(name.mode).update_customer(stripe_id, {"email": email})
    except StripeUnavailable:
        return False
    except StripeRefused:  # it is gone, or Stripe finds the address wrong
        log.warning("email_refused", stripe_customer=stripe_id)
        customers.sync(name.mode, stripe_id)
        facts = None
    told = update(StripeCustomer).where(StripeCustomer.id == name.id, StripeCustomer.new_email == email)
    db.session.execute(told.values(email=facts.email if facts else StripeCustomer.email, new_email=None))
    db.session.commit()
    return facts is not None
