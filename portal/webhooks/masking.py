"""Masking payloads, for display and in stored events of people who deleted their account: secrets are removed,
personal data is shortened.
"""

import re
from datetime import timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import Select, and_, func, select, update

from portal import audit, clock
from portal.extensions import db, rows_changed
from portal.logs import MASK, mask
from portal.models import Customer, EventState, StripeCustomer, StripeEvent, User
from portal.models.stripe_event import WITH_PAYLOAD
from portal.settings import current_settings

log = structlog.get_logger()

ERASED_AFTER = timedelta(days=4)  # Stripe retries a delivery for three days
AT_ONCE = 200
REMOVED_AT_ONCE = 500  # payloads in one transaction
REMOVED_IN_A_RUN = 10_000

# Personal fields, by the last words of their names: `billing_address`, `verified_name`. A URL leads to a page at
# Stripe that anyone with it can open, and which shows the rest.
PERSONAL = re.compile(
    r"(^|_)(address|billing_details|custom_fields|dob|id_number|ip|name|pdf|phone|secret|shipping|signature"
    r"|tax_ids|uncategorized_text|url)$"
)
# It begins at a word boundary: otherwise a long word without an @ would be scanned again from each character.
MAIL = re.compile(r"(?<![^\s@<>\"(),:;])([^\s@<>\"(),:;])[^\s@<>\"(),:;]*(@[\w-]+\.[\w.-]+)")


def masked(payload: str) -> str:
    """Return the payload, indented, with names, addresses, secrets and signatures replaced and email addresses
    shortened. Empty if it was removed.
    """
    return indented(_masked(orjson.loads(payload))) if payload else ""


def indented(value: Any) -> str:
    """Return readable JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def mail(text: str) -> str:
    """Return the text with each email address cut to its first letter: `a…@example.com`."""
    return MAIL.sub(r"\1…\2", text)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if PERSONAL.search(key) and inner else _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return mail(mask(value)) if isinstance(value, str) else value


def erase() -> int:
    """Scheduled task: mask deleted people in stored events, and return how many. Commits after each."""
    # A count, not an EXISTS: PostgreSQL overestimates how many users leave, and joins that with all customers.
    names = select(func.count()).where(
        StripeCustomer.customer_id == Customer.id,
        Customer.user_id == User.id,
        StripeCustomer.deleted_at.is_(None),
        StripeCustomer.stripe_id.is_not(None),
    )
    left_stripe = names.correlate(User).scalar_subquery() == 0
    query = select(User.id).where(
        User.deleted_at <= clock.now() - ERASED_AFTER, User.erased_at.is_(None), left_stripe
    )
    people = db.session.execute(query.order_by(User.deleted_at).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    for user_id in people:
        _forget(user_id)
    return len(people)


def _forget(user_id: int) -> None:
    events = db.session.execute(_events(user_id)).scalars().all()
    for event in events:
        event.payload = masked(event.payload)
    db.session.execute(update(User).where(User.id == user_id).values(erased_at=clock.now()))
    audit.record("account.erased", user_id=user_id, after={"events": len(events)})
    db.session.commit()
    log.info("account_erased", user_id=user_id, events=len(events))


def _events(user_id: int) -> Select[StripeEvent]:
    names = and_(StripeEvent.mode == StripeCustomer.mode, StripeEvent.customer_ref == StripeCustomer.stripe_id)
    return select(StripeEvent).join(StripeCustomer, names).join(Customer).where(Customer.user_id == user_id)


def remove_old() -> int:
    """Scheduled task: empty the payloads of events that were handled long ago, oldest first, and return how many.

    Failed and parked events keep theirs, because they are handled again. Commits after each batch; what is left
    after REMOVED_IN_A_RUN follows at the next run.
    """
    before = clock.now() - timedelta(days=current_settings().event_retention_days)
    due = select(StripeEvent.id).where(WITH_PAYLOAD, StripeEvent.received_at < before)
    oldest = due.order_by(StripeEvent.received_at).limit(REMOVED_AT_ONCE)
    removed = 0
    while removed < REMOVED_IN_A_RUN and (found := db.session.execute(oldest).scalars().all()):
        which = (StripeEvent.id.in_(found), StripeEvent.state.in_(EventState.final()))
        removed += rows_changed(update(StripeEvent).where(*which).values(payload=""))
        db.session.commit()
    db.session.commit()
    return removed
