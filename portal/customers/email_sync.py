"""Changed addresses: updating them at Stripe, which sends receipts there, and correcting mistyped ones."""

import structlog
from sqlalchemy import select, update

from portal import audit, clock, gateway, mail, tokens
from portal.customers import owners, stripe_customers
from portal.errors import Conflict, InvalidInput, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Order, StripeCustomer, User

log = structlog.get_logger()

MOST = 50  # addresses per run


def mark_changed(user: User) -> None:
    """Record that the user's address must be updated on all of their customers at Stripe. Flushes."""
    mine = StripeCustomer.customer_id.in_(select(Customer.id).where(Customer.user_id == user.id))
    statement = update(StripeCustomer).where(mine, StripeCustomer.is_current)
    db.session.execute(statement.values(new_email=user.email), execution_options={"synchronize_session": False})


def correct(order: Order, email: str) -> None:
    """Make an order of a Payment Link's buyer wait for another address. Only the new address's link works then.
    Flushes.

    The address entered at the payment may be a stranger's, who is not told. Whether the new one has an account is
    not revealed: the order waits for its owner like any other. Raises InvalidInput for the present address,
    Conflict once somebody has claimed the order.
    """
    user = order.customer.user
    owners.hold(user)
    db.session.refresh(user)
    if not user.is_waiting:
        raise Conflict("Somebody has confirmed this purchase already, so its address stays.")
    address = owners.normalized(email)
    if address == user.email:
        words = "This is the address that we emailed already."
        raise InvalidInput(words, errors={"email": words})
    user.email = address
    tokens.void(user, "claim")
    mark_changed(user)
    mail.withdraw(user, "claim")
    mail.queue(user, "claim", f"claim:{order.number}:{clock.now().timestamp()}")
    audit.record("purchase.address_corrected", customer_id=order.customer_id, subject=order.number)
    log.info("purchase_address_corrected", order=order.number)


def tell() -> int:
    """Update the recorded addresses at Stripe and return how many. Commits. Failed updates are retried at the
    next run.
    """
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
    except StripeRefused:  # it was deleted, or Stripe rejects the address
        log.warning("email_refused", stripe_customer=stripe_id)
        stripe_customers.sync(name.mode, stripe_id)
        facts = None
    told = update(StripeCustomer).where(StripeCustomer.id == name.id, StripeCustomer.new_email == email)
    db.session.execute(told.values(email=facts.email if facts else StripeCustomer.email, new_email=None))
    db.session.commit()
    return facts is not None
