"""Handling stored events again: manually, after a crash, when their object became ours, or because they were
missed.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import orjson
import structlog
from sqlalchemy import Select, select, update

from portal import clock, gateway, jobs
from portal.enums import Mode
from portal.errors import NotFound, PortalError
from portal.extensions import db, rows_changed
from portal.models import EventState, Order, StripeCustomer, StripeEvent
from portal.orders import fulfillment, unplaced_payments
from portal.sync import parked_events
from portal.webhooks import hints, inbox
from portal.webhooks.handlers import HANDLERS

log = structlog.get_logger()

BATCH = 100
MOST = 1000  # events that one run handles
MOST_HANDED_OVER = 50_000  # events that one run hands to workers, such as after Redis lost all of them
LEFT_AFTER = timedelta(minutes=1)  # a `received` event this old belongs to no running request


def replay(event: StripeEvent) -> str:
    """Handle a stored event again, whatever its state. Handlers fetch from Stripe again, so nothing happens
    twice. Commits. Raises PayloadRemoved.
    """
    hint = hints.stored(event.payload)
    event.state = EventState.RECEIVED
    db.session.commit()
    return inbox.handle(event.mode, hint)


def backfill(mode: Mode, since: datetime) -> Iterator[tuple[str, str]]:
    """Fetch events since then that never arrived from Stripe, handle them, and yield each id and outcome.

    Stripe keeps events for 30 days (https://docs.stripe.com/api/events). Their order does not matter, because
    handlers fetch the current state from Stripe.
    """
    raised = gateway.of(mode).events(created={"gte": int(since.timestamp())})
    while batch := list(islice(raised, BATCH)):
        for event in _missed(mode, batch):
            try:
                yield event["id"], inbox.receive(mode, orjson.dumps(event))
            except PortalError as error:  # stored on its row; the others continue
                yield event["id"], f"failed: {error.code}"


def _missed(mode: Mode, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events that have a handler and are not stored here. Ends the transaction."""
    heard = [event for event in events if event["type"] in HANDLERS]
    ids = [event["id"] for event in heard]
    query = select(StripeEvent.event_id).where(StripeEvent.mode == mode, StripeEvent.event_id.in_(ids))
    known = set(db.session.execute(query).scalars())
    db.session.commit()
    return [event for event in heard if event["id"] not in known]


def sweep() -> int:
    """Handle events that a crash left `received`, and parked ones whose customer or order is ours by now.

    Payments that arrived without an order come first, if their price has a plan by now. Without workers,
    Stripe itself redelivers failed events. Returns how many.
    """
    for mode, session_id in unplaced_payments.mended():
        try:
            fulfillment.fulfill(mode, session_id)
        except PortalError as error:  # the others continue; this one is retried
            db.session.rollback()
            log.error("payment_not_placed", session=session_id, error=error.code)
    return len(list(_handle_all(_left()))) + len(list(_handle_all(_adopted())))


def waiting(limit: int) -> list[jobs.Job]:
    """Return the events that wait for a worker or failed, oldest first. Ends the transaction."""
    query = select(StripeEvent).where(StripeEvent.state.in_(EventState.waiting())).order_by(StripeEvent.id)
    found = db.session.execute(query.limit(limit)).scalars().all()
    db.session.commit()
    return [
        jobs.Job(
            inbox.KIND,
            one.id,
            f"{one.type} {one.event_id}",
            one.state,
            one.attempts,
            one.received_at,
            one.next_look_at,
            one.error or "",
        )
        for one in found
    ]


def make_due(event_row: int) -> None:
    """Have an event looked at now. Flushes. Raises NotFound."""
    due = update(StripeEvent).where(StripeEvent.id == event_row, StripeEvent.state.not_in(EventState.final()))
    if not rows_changed(due.values(next_look_at=clock.now())):
        raise NotFound("No event with this number waits.")


def retry() -> Iterator[tuple[str, str]]:
    """Handle failed and interrupted events, and yield each id and outcome."""
    failed = select(StripeEvent).where(StripeEvent.state == EventState.FAILED)
    return _handle_all(chain(_left(), _read(failed)))


def _left() -> list[StripeEvent]:
    """Return the events that a crash left `received`. Ends the transaction."""
    # One with a next look was handed to a worker.
    is_left = (
        StripeEvent.state == EventState.RECEIVED,
        StripeEvent.received_at < clock.now() - LEFT_AFTER,
        StripeEvent.next_look_at.is_(None),
    )
    return _read(select(StripeEvent).where(*is_left))


def _read(query: Select[StripeEvent]) -> list[StripeEvent]:
    found = db.session.execute(query.order_by(StripeEvent.id).limit(MOST)).scalars().all()
    db.session.commit()
    return list(found)


def _adopted() -> Iterator[StripeEvent]:
    """Yield the due events whose customer or session is ours by now (the webhooks of a Payment Link come in any
    order), and those that workers left or failed to handle.

    The others are checked once more, and then left until what they name becomes ours. Commits.
    """
    handled, checked = 0, BATCH
    most = MOST_HANDED_OVER if jobs.are_elsewhere() else MOST
    while checked == BATCH and handled < most:
        checked, adopted = _check()
        handled += len(adopted)
        yield from adopted


def _check() -> tuple[int, list[StripeEvent]]:
    """Return how many of the due events were checked, and those that are to be handled. Commits."""
    now = clock.now()
    due = select(StripeEvent).where(StripeEvent.next_look_at <= now).order_by(StripeEvent.next_look_at)
    found = db.session.execute(due.limit(BATCH).with_for_update(skip_locked=True)).scalars().all()
    ours = _ours(found) if found else []
    ours += [event for event in found if event not in ours and parked_events.is_due_by_itself(event)]
    for event in found:
        if event.state == EventState.RECEIVED:
            parked_events.hand_over_again(event)
            continue
        last = (event.finished_at or event.received_at) + parked_events.LAST_CHECK
        event.next_look_at = now + parked_events.HANDLING if event in ours else last if last > now else None
    db.session.commit()
    return len(found), ours


def _ours(events: Sequence[StripeEvent]) -> list[StripeEvent]:
    """Return the events whose customer or session is ours."""
    customers = [event.customer_ref for event in events if event.customer_ref]
    names = select(StripeCustomer.mode, StripeCustomer.stripe_id).where(
        StripeCustomer.mode.in_(Mode), StripeCustomer.stripe_id.in_(customers)
    )
    sessions = select(Order.mode, Order.session_id).where(
        Order.mode.in_(Mode), Order.session_id.in_([event.object_id for event in events])
    )
    known = {tuple(row) for query in (names, sessions) for row in db.session.execute(query.limit(2 * BATCH))}
    return [one for one in events if {(one.mode, one.customer_ref), (one.mode, one.object_id)} & known]


def _handle_all(events: Iterable[StripeEvent]) -> Iterator[tuple[str, str]]:
    for event in events:
        if jobs.hand_over(inbox.KIND, event.id):
            yield event.event_id, EventState.RECEIVED
            continue
        try:
            yield event.event_id, inbox.handle(event.mode, hints.stored(event.payload))
        except Exception as error:  # stored on its row; the others continue
            yield event.event_id, f"failed: {type(error).__name__}"
