"""The inbox: every delivery is stored as a row, and becomes `processed` only in the transaction of its effects."""

from functools import cache
from typing import Any

import structlog
from sqlalchemy import Executable, Update, bindparam, select, update

from portal import audit, clock, gateway, jobs
from portal.enums import Mode
from portal.errors import InvalidInput, PortalError, StripeRefused
from portal.extensions import db, insert
from portal.models import EventState, RefundRequest, StripeCustomer, StripeEvent
from portal.orders import unplaced_payments
from portal.orders.fulfillment import Mismatch
from portal.sync import open_calls, parked_events, versions
from portal.webhooks import hints
from portal.webhooks.handlers import ALWAYS, HANDLERS, Handler
from portal.webhooks.hints import Hint, parse
from portal.webhooks.parked import Parked, Unplaced

log = structlog.get_logger()

KIND = "event"  # of job
MOVE = (
    update(StripeEvent)
    .where(
        StripeEvent.mode == bindparam("of_mode"),
        StripeEvent.event_id == bindparam("of_event"),
        StripeEvent.state.not_in(EventState.final()),
    )
    .values(attempts=StripeEvent.attempts + 1)
)
DONE = MOVE.values(next_look_at=None)
# What was about to be charged to the customer may be different now: the billing page asks again.
CHANGED = (
    update(StripeCustomer)
    .where(
        StripeCustomer.mode == bindparam("of_mode"),
        StripeCustomer.stripe_id == bindparam("of_customer"),
        StripeCustomer.asked_at.is_not(None),
    )
    .values(asked_at=None)
)
AGAIN = (
    update(StripeEvent)
    .where(StripeEvent.mode == bindparam("of_mode"), StripeEvent.event_id == bindparam("of_event"))
    .values(duplicates=StripeEvent.duplicates + 1)
)


class HandlingFailed(PortalError):
    """A handler failed. The error is stored on the event's row, and the response makes Stripe deliver again."""

    status = 500
    code = "handling_failed"
    title = "The event could not be handled"


def receive(mode: Mode, body: bytes, *, verified: bool = True) -> str:
    """Store a delivery and handle it. Returns `processed`, `duplicate`, `ignored` or `parked`; commits.

    With workers it returns `received` once the row is committed, and a worker handles it.

    `verified`: whether Stripe's signature, or a fetch from Stripe, proved it; it is logged.

    An error of a handler is stored on the row and raised again, so that Stripe delivers again.
    """
    hint = parse(body)
    if hint.livemode != gateway.of(mode).livemode:
        raise InvalidInput("This event belongs to the other mode's endpoint.", errors={"livemode": "wrong lane"})
    event_row, state = _store(mode, hint, body)
    db.session.commit()
    # Events without a handler are stored, but logged only at debug level.
    say = log.info if hint.type in HANDLERS else log.debug
    word = "stripe_webhook_verified" if verified else "stripe_webhook_not_verified"
    say(word, event_id=hint.event_id, type=hint.type, mode=mode)
    if state.is_final:
        db.session.connection().execute(AGAIN, {"of_mode": mode, "of_event": hint.event_id})
        db.session.commit()
        return "duplicate"
    if handlers_of(mode, hint) and jobs.hand_over(KIND, event_row):
        return EventState.RECEIVED
    return handle(mode, hint)


def handle_stored(event_row: int) -> None:
    """Handle an event by its row's id, unless it is done or gone. Commits. Raises HandlingFailed."""
    event = db.session.get(StripeEvent, event_row, populate_existing=True)
    db.session.commit()
    if event is not None and not event.state.is_final:
        handle(event.mode, hints.stored(event.payload))


def _store(mode: Mode, hint: Hint, body: bytes) -> tuple[int, EventState]:
    """Write the row as `received`, or find the row of an earlier delivery, and return its id and state."""
    row = {
        "mode": mode,
        "event_id": hint.event_id,
        "type": hint.type,
        "object_id": hint.object_id,
        "customer_ref": hint.customer,
        "state": EventState.RECEIVED,
        "attempts": 0,
        "payload": body.decode(),
        "created_at": hint.created_at,
        "received_at": clock.now(),
        "next_look_at": parked_events.look_after_hand_over() if jobs.are_elsewhere() else None,
    }
    connection, statement = db.session.connection(), _storing(db.engine.dialect.name)
    if (made := connection.execute(statement, row).scalar_one_or_none()) is not None:
        if hint.customer is not None:
            connection.execute(CHANGED, {"of_mode": mode, "of_customer": hint.customer})
        return made, EventState.RECEIVED
    query = select(StripeEvent.id, StripeEvent.state).filter_by(mode=mode, event_id=hint.event_id)
    found, state = db.session.execute(query).one()
    return found, state


@cache
def _storing(dialect: str) -> Executable:
    """Build the statement once for the database in use, because each delivery runs it."""
    statement = insert(StripeEvent).on_conflict_do_nothing(index_elements=["mode", "event_id"])
    return statement.returning(StripeEvent.id)


def handle(mode: Mode, hint: Hint) -> str:
    """Fetch from Stripe, then write effects and `processed` in one transaction. Commits on success and on
    failure.
    """
    acting = audit.acting_as("stripe", event_id=hint.event_id)
    with structlog.contextvars.bound_contextvars(event_id=hint.event_id), acting:
        return _handle(mode, hint)


def _handle(mode: Mode, hint: Hint) -> str:
    handlers = handlers_of(mode, hint)
    if not handlers:
        return _finish(mode, hint, EventState.IGNORED)
    log.info("handling_stripe_webhook_event", event_id=hint.event_id, type=hint.type)
    try:
        _ask_about(mode, hint)
        snapshots = act(handlers, read(handlers, mode, hint))
        db.session.commit()
        if not _take(mode, hint):
            db.session.rollback()
            return "duplicate"
        versions.hold(snapshots)
        apply(handlers, snapshots)
        db.session.commit()
    except (Parked, Mismatch) as reason:
        return _park(mode, hint, reason)
    except StripeRefused as error:
        if error.stripe_code != "resource_missing":
            _fail(mode, hint, error)
            raise HandlingFailed("Stripe did not say what the event is about; deliver it again.") from error
        return _park(mode, hint, f"{hint.object_id} is unknown to Stripe")
    except Exception as error:
        _fail(mode, hint, error)
        raise HandlingFailed("The event was stored and could not be handled; deliver it again.") from error
    log.info("stripe_webhook_handled_successfully", type=hint.type)
    return "processed"


def handlers_of(mode: Mode, hint: Hint) -> tuple[Handler, ...]:
    """Return the handlers of an event: none if its type has none, its object is stamped with the other mode, or
    it does not name what they read.
    """
    handlers = HANDLERS.get(hint.type, ()) if hint.portal_mode in (None, mode) else ()
    return tuple(one for one in handlers if one.about in ALWAYS or getattr(hint, one.about))


def read(handlers: tuple[Handler, ...], mode: Mode, hint: Hint) -> list[Any]:
    """Fetch what each handler needs from Stripe, with no transaction open. Raises Parked."""
    return [_read(handler, mode, hint) for handler in handlers]


def _read(handler: Handler, mode: Mode, hint: Hint) -> Any:
    named = hint.object_id if handler.about == "object" else getattr(hint, handler.about)
    if named is None:
        raise Parked(f"{hint.object_id} names no customer")
    return handler.read(mode, named)


def act(handlers: tuple[Handler, ...], snapshots: list[Any]) -> list[Any]:
    """Make each handler's calls to Stripe, with no transaction open. Raises Parked."""
    return [handler.act(snapshot) for handler, snapshot in zip(handlers, snapshots, strict=True)]


def _ask_about(mode: Mode, hint: Hint) -> None:
    """Resume open calls that the event may be about, because their response was lost. Commits after each."""
    open_calls.ask_about(mode, hint.customer)
    if hint.refund_order is not None:  # a refund names no customer
        open_calls.ask_about_claim(RefundRequest, hint.refund_order)


def apply(handlers: tuple[Handler, ...], snapshots: list[Any]) -> None:
    """Write what each handler read. Flushes. Raises Parked if the object belongs to none of them."""
    reasons = []
    for handler, snapshot in zip(handlers, snapshots, strict=True):
        try:
            handler.apply(snapshot)
        except Parked as reason:
            reasons.append(reason)
    if len(reasons) == len(handlers):
        raise reasons[0]


def _take(mode: Mode, hint: Hint) -> bool:
    """Open the transaction of the effects by marking the event as processed; a second delivery waits on this
    row.
    """
    return _move(mode, hint, EventState.PROCESSED, error=None)


def _move(mode: Mode, hint: Hint, state: EventState, error: str | None, how: Update = DONE) -> bool:
    """Change the event's state unless it is done already, so that a failure never overwrites a success."""
    change = {
        "of_mode": mode,
        "of_event": hint.event_id,
        "state": state,
        "error": error,
        "finished_at": clock.now(),
    }
    return bool(db.session.connection().execute(how, change).rowcount)


def _finish(mode: Mode, hint: Hint, state: EventState) -> str:
    moved = _move(mode, hint, state, error=None)
    db.session.commit()
    return state if moved else "duplicate"


def _park(mode: Mode, hint: Hint, reason: Exception | str) -> str:
    """Park an event that is not ours or not trusted. It is answered with 200, and handled when its object
    becomes ours.
    """
    db.session.rollback()
    customer = reason.customer if isinstance(reason, Parked) else None
    parking = MOVE.values(next_look_at=parked_events.next_look())
    moved = _move(mode, hint, EventState.PARKED, error=str(reason), how=parking)
    if moved and hint.customer is None and customer:
        named = update(StripeEvent).filter_by(mode=mode, event_id=hint.event_id)
        db.session.execute(named.values(customer_ref=customer))
    if isinstance(reason, Unplaced):
        unplaced_payments.note(reason.found)
    if isinstance(reason, Mismatch):
        reason.note()
    db.session.commit()
    log.info("stripe_webhook_parked", type=hint.type, reason=str(reason))
    return "parked"


def _fail(mode: Mode, hint: Hint, error: Exception) -> None:
    db.session.rollback()
    again = parked_events.next_look_after_failure()
    # Failures are counted separately from attempts, because a replay after success is not a failure.
    failing = MOVE.values(failures=StripeEvent.failures + 1, next_look_at=again)
    _move(mode, hint, EventState.FAILED, error=f"{type(error).__name__}: {error}", how=failing)
    db.session.commit()
    log.error("stripe_webhook_failed", type=hint.type, error=type(error).__name__)
