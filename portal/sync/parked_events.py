"""When parked events are checked again: a few times, each later, and at once when what they name becomes ours."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, literal, select, update
from sqlalchemy.orm import InstrumentedAttribute

from portal import clock, jobs
from portal.enums import Mode
from portal.extensions import db
from portal.models import EventState, StripeEvent

# After so many attempts at handling. An event that stays parked (such as a mismatch) is not retried forever.
WAITS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))
# An id can become ours in the moment in which its event is being parked, so a later check follows the first.
LAST_CHECK = timedelta(hours=1)
# With workers, an event that a lost task or a dead worker left behind. Sending it again costs a worker one query.
HANDED_OVER = timedelta(minutes=1)
# With workers, failures are retried by us: as often as Stripe would, after so many failures.
FAILURE_WAITS = tuple(timedelta(minutes=wait) for wait in (1, 5, 30, 120, 300, 600, 1440, 1440))
HANDLING = timedelta(minutes=10)  # until an event that is being handled is due again, if the process dies


def next_look() -> ColumnElement[datetime | None]:
    """Return when the event of an UPDATE that counts an attempt is due again; null after the last attempt."""
    return _after(WAITS, StripeEvent.attempts)


def _after(waits: tuple[timedelta, ...], count: InstrumentedAttribute[int]) -> ColumnElement[datetime | None]:
    now = clock.now()
    by_count = {number: literal(now + wait, StripeEvent.next_look_at.type) for number, wait in enumerate(waits)}
    return case(by_count, value=count, else_=None)


def look_after_hand_over() -> datetime:
    """Return when an event that was handed to a worker is due again, should the task be lost."""
    return clock.now() + HANDED_OVER


def hand_over_again(event: StripeEvent) -> None:
    """Count another attempt of an event that a worker did not finish. Flushes.

    Its task was lost, or it kills its workers: so it waits longer each time, and fails in the end.
    """
    if event.attempts >= len(FAILURE_WAITS):
        event.state, event.finished_at, event.next_look_at = EventState.FAILED, clock.now(), None
        event.error = f"no worker finished it, {event.attempts} times"
        return
    event.next_look_at = clock.now() + FAILURE_WAITS[event.attempts]
    event.attempts += 1


def is_due_by_itself(event: StripeEvent) -> bool:
    """Return whether a due event is handled even if what it names is not ours: one that a worker should have
    handled, or failed to.
    """
    return event.state == EventState.RECEIVED or (event.state == EventState.FAILED and jobs.are_elsewhere())


def next_look_after_failure() -> ColumnElement[datetime | None]:
    """Return the same for an event that failed in a worker, or was parked before; Stripe delivers any other one
    again by itself.
    """
    if jobs.are_elsewhere():
        return _after(FAILURE_WAITS, StripeEvent.failures)
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
