"""The inbox: every delivery becomes a row, and is done only when its effects are committed (money rule 3)."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import orjson
import structlog
from sqlalchemy import ColumnElement, Executable, bindparam, exists, select, update

from portal import audit, clock, gateway
from portal.errors import InvalidInput, NotFound, PortalError, StripeRefused
from portal.extensions import db, insert
from portal.logs import MASK, mask
from portal.models import StripeCustomer, StripeEvent
from portal.purchases.fulfilment import Mismatch
from portal.webhooks.handlers import HANDLERS, Handler, Parked
from portal.webhooks.hints import Hint, parse

log = structlog.get_logger()

DONE = ("processed", "ignored")
MOVE = (
    update(StripeEvent)
    .where(
        StripeEvent.mode == bindparam("of_mode"),
        StripeEvent.event_id == bindparam("of_event"),
        StripeEvent.state.not_in(DONE),
    )
    .values(attempts=StripeEvent.attempts + 1)
)
PARKED_TRIES = 4  # what is parked though its customer is ours (a mismatch, say) is not tried for ever
LEFT_AFTER = timedelta(minutes=1)  # a `received` event this old belongs to no request any more
PERSONAL = {"email", "name", "phone", "address", "client_secret", "receipt_email", "shipping", "billing_details"}


class HandlingFailed(PortalError):
    """A handler failed: recorded on the event's row, and answered so that Stripe delivers once more."""

    status = 500
    code = "handling_failed"
    title = "The event could not be handled"


def receive(mode: str, body: bytes) -> str:
    """Store a verified delivery and handle it. Gives `processed`, `duplicate`, `ignored` or `parked`; commits.

    Whatever a handler raises is recorded on the row and raised again, so that Stripe delivers once more.
    """
    hint = parse(body)
    if hint.livemode != gateway.of(mode).livemode:
        raise InvalidInput("This event belongs to the other mode's endpoint.", errors={"livemode": "wrong lane"})
    state = _store(mode, hint, body)
    db.session.commit()
    # What nobody here handles is stored, and said only to whoever listens closely.
    say = log.info if hint.type in HANDLERS else log.debug
    say("stripe_webhook_verified", event_id=hint.event_id, type=hint.type, mode=mode)
    if state in DONE:
        return "duplicate"
    return handle(mode, hint)


def _store(mode: str, hint: Hint, body: bytes) -> str:
    """Write the row as `received`; a redelivery finds the row that stands there. Gives its state."""
    row = {
        "mode": mode,
        "event_id": hint.event_id,
        "type": hint.type,
        "object_id": hint.object_id,
        "customer_ref": hint.customer,
        "state": "received",
        "attempts": 0,
        "payload": body.decode(),
        "created_at": hint.created_at,
        "received_at": clock.now(),
    }
    statement = _storing(db.engine.dialect.name)
    if db.session.connection().execute(statement, row).scalar_one_or_none() is not None:
        return "received"
    query = select(StripeEvent.state).filter_by(mode=mode, event_id=hint.event_id)
    return db.session.execute(query).scalar_one()


@cache
def _storing(dialect: str) -> Executable:
    """Built once for the database in use: each delivery runs it."""
    statement = insert(StripeEvent).on_conflict_do_nothing(index_elements=["mode", "event_id"])
    return statement.returning(StripeEvent.id)


def handle(mode: str, hint: Hint) -> str:
    """Ask Stripe, then write effects and `processed` in one transaction. Commits, in success and in failure."""
    with structlog.contextvars.bound_contextvars(event_id=hint.event_id), audit.acting_as("stripe"):
        return _handle(mode, hint)


def _handle(mode: str, hint: Hint) -> str:
    handlers = HANDLERS.get(hint.type)
    if handlers is None or hint.portal_mode not in (None, mode):
        return _finish(mode, hint, "ignored")
    log.info("handling_stripe_webhook_event", event_id=hint.event_id, type=hint.type)
    try:
        snapshots = [_read(handler, mode, hint) for handler in handlers]
        db.session.commit()
        if not _take(mode, hint):
            db.session.rollback()
            return "duplicate"
        _apply(handlers, snapshots)
        db.session.commit()
    except (Parked, Mismatch) as reason:
        return _park(mode, hint, str(reason))
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


def _read(handler: Handler, mode: str, hint: Hint) -> Any:
    named = hint.customer if handler.of_customer else hint.object_id
    if named is None:
        raise Parked(f"{hint.object_id} names no customer")
    return handler.read(mode, named)


def _apply(handlers: tuple[Handler, ...], snapshots: list[Any]) -> None:
    """Write what each read. Raises Parked where the object is nothing to any of them."""
    reasons = []
    for handler, snapshot in zip(handlers, snapshots, strict=True):
        try:
            handler.apply(snapshot)
        except Parked as reason:
            reasons.append(reason)
    if len(reasons) == len(handlers):
        raise reasons[0]


def _take(mode: str, hint: Hint) -> bool:
    """Open the transaction of the effects by saying that they are done; a second delivery waits on this row."""
    return _move(mode, hint, "processed", error=None)


def _move(mode: str, hint: Hint, state: str, error: str | None) -> bool:
    """Change the event's state, unless it is done already: a failure never covers a success."""
    change = {
        "of_mode": mode,
        "of_event": hint.event_id,
        "state": state,
        "error": error,
        "finished_at": clock.now(),
    }
    return bool(db.session.connection().execute(MOVE, change).rowcount)


def _finish(mode: str, hint: Hint, state: str) -> str:
    moved = _move(mode, hint, state, error=None)
    db.session.commit()
    return state if moved else "duplicate"


def _park(mode: str, hint: Hint, reason: str) -> str:
    """Not ours, or not to be trusted: kept, answered 200, handled again when its object becomes ours."""
    db.session.rollback()
    _move(mode, hint, "parked", error=reason)
    db.session.commit()
    log.info("stripe_webhook_parked", type=hint.type, reason=reason)
    return "parked"


def _fail(mode: str, hint: Hint, error: Exception) -> None:
    db.session.rollback()
    _move(mode, hint, "failed", error=f"{type(error).__name__}: {error}")
    db.session.commit()
    log.error("stripe_webhook_failed", type=hint.type, error=type(error).__name__)


def newest(*, state: str | None = None, mode: str | None = None, limit: int = 50) -> list[StripeEvent]:
    """The newest events, of one state and mode or of all."""
    query = select(StripeEvent).order_by(StripeEvent.id.desc()).limit(limit)
    if state:
        query = query.filter_by(state=state)
    if mode:
        query = query.filter_by(mode=mode)
    return list(db.session.execute(query).scalars())


def by_id(event_id: str) -> StripeEvent:
    """The event of this Stripe id. Raises NotFound."""
    found = db.session.execute(select(StripeEvent).filter_by(event_id=event_id)).scalars().first()
    if found is None:
        raise NotFound(f"No event {event_id} was delivered here.")
    return found


def masked_payload(event: StripeEvent) -> str:
    """The payload, indented, with what is secret or personal replaced."""
    payload = orjson.loads(event.payload)
    return orjson.dumps(_masked(payload), option=orjson.OPT_INDENT_2).decode()


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if key in PERSONAL and inner else _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return mask(value) if isinstance(value, str) else value


def replay(event: StripeEvent) -> str:
    """Handle a stored event again, done or not: handlers ask Stripe anew, so nothing happens twice. Commits."""
    event.state = "received"
    db.session.commit()
    return handle(event.mode, parse(event.payload.encode()))


def sweep() -> int:
    """Handle what a crash left `received`, and what was parked about a customer who is ours by now.

    Stripe delivers what failed again by itself. Gives how many.
    """
    return len(list(_handle_all(_left() | _adopted())))


def retry() -> Iterator[tuple[str, str]]:
    """Handle what failed or was left; gives each event's id and how it ended."""
    return _handle_all((StripeEvent.state == "failed") | _left())


def _left() -> ColumnElement[bool]:
    return (StripeEvent.state == "received") & (StripeEvent.received_at < clock.now() - LEFT_AFTER)


def _adopted() -> ColumnElement[bool]:
    """Parked before its customer became ours (a Payment Link's webhooks come in any order)."""
    ours = exists().where(
        StripeCustomer.mode == StripeEvent.mode,
        StripeCustomer.stripe_id == StripeEvent.customer_ref,
    )
    return (StripeEvent.state == "parked") & (StripeEvent.attempts < PARKED_TRIES) & ours


def _handle_all(which: ColumnElement[bool], limit: int = 1000) -> Iterator[tuple[str, str]]:
    events = (
        db.session.execute(select(StripeEvent).where(which).order_by(StripeEvent.id).limit(limit)).scalars().all()
    )
    db.session.commit()
    for event in events:
        try:
            yield event.event_id, handle(event.mode, parse(event.payload.encode()))
        except Exception as error:  # recorded on its row; the others go on
            yield event.event_id, f"failed: {type(error).__name__}"
