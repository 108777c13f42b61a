"""When parked events are checked again: a few times, each later, and at once when what they name becomes ours."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, literal, select, update

from portal import clock
from portal.enums import Mode
from portal.extensions import db
from portal.models import EventState, StripeEvent

# After so many attempts at handling. An event that stays parked (such as a mismatch) is not retried forever.
WAITS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))
# An id can become ours in the moment in which its event is being parked, so a later check follows the first.
LAST_CHECK = timedelta(hours=1)
HANDLING = timedelta(minutes=10)  # until an event that is being handled is due again, if the process dies


def next_look() -> ColumnElement[datetime | None]:
    """Return when the event of an UPDATE that counts an attempt is due again; null after the last attempt."""
    now = clock.now()
    waits = {number: literal(now + wait, StripeEvent.next_look_at.type) for number, wait in enumerate(WAITS)}
    return case(waits, value=StripeEvent.attempts, else_=None)


def next_look_after_failure() -> ColumnElement[datetime | None]:
    """Return the same for an event that was parked before; Stripe delivers any other one again by itself."""
    return case((StripeEvent.next_look_at.is_(None), None), else_=next_look())


def look_soon(mode: Mode, *, customer: str | None = None, session: str | None = None) -> None:
    """Make the events that were parked about a Stripe customer or session due now, because it became ours.
    Flushes.

    The caller holds locks that come later in the order than events do. So this never waits: an event that
    somebody else has locked is being handled, and is checked again by itself.
    """
    named = StripeEvent.customer_ref == customer if customer else StripeEvent.object_id == session
    parked = select(StripeEvent.id).where(StripeEvent.mode == mode, StripeEvent.state == EventState.PARKED, named)
    ids = db.session.execute(parked.with_for_update(skip_locked=True)).scalars().all()
    if ids:
        soon = update(StripeEvent).where(StripeEvent.id.in_(ids)).values(next_look_at=clock.now())
        db.session.execute(soon, execution_options={"synchronize_session": False})
