"""What stored events say of people who deleted their account is masked, once Stripe delivers no more of it."""

from datetime import timedelta

import structlog
from sqlalchemy import Select, and_, exists, select, update

from portal import audit, clock
from portal.extensions import db
from portal.models import Customer, StripeCustomer, StripeEvent, User
from portal.webhooks import masking

log = structlog.get_logger()

AFTER = timedelta(days=4)  # Stripe tries to deliver an event for three


def run() -> int:
    """The tick's chore; gives how many people were forgotten. Commits after each."""
    at_stripe = exists().where(
        StripeCustomer.customer_id == Customer.id,
        Customer.user_id == User.id,
        StripeCustomer.deleted_at.is_(None),
        StripeCustomer.stripe_id.is_not(None),
    )
    query = select(User.id).where(User.deleted_at <= clock.now() - AFTER, User.erased_at.is_(None), ~at_stripe)
    people = db.session.execute(query).scalars().all()
    db.session.commit()
    for user_id in people:
        _forget(user_id)
    return len(people)


def _forget(user_id: int) -> None:
    events = db.session.execute(_events(user_id)).scalars().all()
    for event in events:
        event.payload = masking.masked(event.payload)
    db.session.execute(update(User).where(User.id == user_id).values(erased_at=clock.now()))
    audit.record("account.erased", user_id=user_id, after={"events": len(events)})
    db.session.commit()
    log.info("account_erased", user_id=user_id, events=len(events))


def _events(user_id: int) -> Select[StripeEvent]:
    names = and_(StripeEvent.mode == StripeCustomer.mode, StripeEvent.customer_ref == StripeCustomer.stripe_id)
    return select(StripeEvent).join(StripeCustomer, names).join(Customer).where(Customer.user_id == user_id)
