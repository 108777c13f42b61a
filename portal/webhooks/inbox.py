"""The inbox: every delivery becomes a row, and is done only when its effects are committed (money rule 3)."""

from functools import cache
from typing import Any

import structlog
from sqlalchemy import Executable, Update, bindparam, select, update

from portal import audit, clock, gateway
from portal.errors import InvalidInput, PortalError, StripeRefused
from portal.extensions import db, insert
from portal.models import RefundOrder, StripeEvent
from portal.purchases import open_calls, tickets, unplaced
from portal.purchases.fulfilment import Mismatch
from portal.webhooks.handlers import ALWAYS, HANDLERS, Handler, Parked, Unplaced
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
# A failed try is counted beside the tries, for a replay of what succeeded is no failure.
FAIL = MOVE.values(failures=StripeEvent.failures + 1)
AGAIN = (
    update(StripeEvent)
    .where(StripeEvent.mode == bindparam("of_mode"), StripeEvent.event_id == bindparam("of_event"))
    .values(duplicates=StripeEvent.duplicates + 1)
)


class HandlingFailed(PortalError):
    """A handler failed: recorded on the event's row, and answered so that Stripe delivers once more."""

    status = 500
    code = "handling_failed"
    title = "The event could not be handled"


def receive(mode: str, body: bytes, *, verified: bool = True) -> str:
    """Store a delivery and handle it. Gives `processed`, `duplicate`, `ignored` or `parked`; commits.

    `verified`: whether Stripe's signature, or a fetch from Stripe, proved it; the log says so.

    Whatever a handler raises is recorded on the row and raised again, so that Stripe delivers once more.
    """
    hint = parse(body)
    if hint.livemode != gateway.of(mode).livemode:
        raise InvalidInput("This event belongs to the other mode's endpoint.", errors={"livemode": "wrong lane"})
    state = _store(mode, hint, body)
    db.session.commit()
    # What nobody here handles is stored, and said only to whoever listens closely.
    say = log.info if hint.type in HANDLERS else log.debug
    word = "stripe_webhook_verified" if verified else "stripe_webhook_not_verified"
    say(word, event_id=hint.event_id, type=hint.type, mode=mode)
    if state in DONE:
        db.session.connection().execute(AGAIN, {"of_mode": mode, "of_event": hint.event_id})
        db.session.commit()
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
    acting = audit.acting_as("stripe", event_id=hint.event_id)
    with structlog.contextvars.bound_contextvars(event_id=hint.event_id), acting:
        return _handle(mode, hint)


def _handle(mode: str, hint: Hint) -> str:
    handlers = handlers_of(mode, hint)
    if not handlers:
        return _finish(mode, hint, "ignored")
    log.info("handling_stripe_webhook_event", event_id=hint.event_id, type=hint.type)
    try:
        _ask_about(mode, hint)
        snapshots = act(handlers, read(handlers, mode, hint))
        db.session.commit()
        if not _take(mode, hint):
            db.session.rollback()
            return "duplicate"
        tickets.hold(snapshots)
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


def handlers_of(mode: str, hint: Hint) -> tuple[Handler, ...]:
    """Who handles it: nobody where nobody cares about its type, its object is stamped with the other
    mode, or it names nothing that they would read."""
    handlers = HANDLERS.get(hint.type, ()) if hint.portal_mode in (None, mode) else ()
    return tuple(one for one in handlers if one.about in ALWAYS or getattr(hint, one.about))


def read(handlers: tuple[Handler, ...], mode: str, hint: Hint) -> list[Any]:
    """Ask Stripe what each of them wants to know, with no transaction open. Raises Parked."""
    return [_read(handler, mode, hint) for handler in handlers]


def _read(handler: Handler, mode: str, hint: Hint) -> Any:
    named = hint.object_id if handler.about == "object" else getattr(hint, handler.about)
    if named is None:
        raise Parked(f"{hint.object_id} names no customer")
    return handler.read(mode, named)


def act(handlers: tuple[Handler, ...], snapshots: list[Any]) -> list[Any]:
    """Do at Stripe what each of them wants done, with no transaction open. Raises Parked."""
    return [handler.act(snapshot) for handler, snapshot in zip(handlers, snapshots, strict=True)]


def _ask_about(mode: str, hint: Hint) -> None:
    """What the event tells of may be what a call of ours did, whose answer was lost. Commits as it goes."""
    open_calls.ask_about(mode, hint.customer)
    if hint.refund_order is not None:  # a refund names no customer
        open_calls.ask_about_claim(RefundOrder, hint.refund_order)


def apply(handlers: tuple[Handler, ...], snapshots: list[Any]) -> None:
    """Write what each read. Flushes. Raises Parked where the object is nothing to any of them."""
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


def _move(mode: str, hint: Hint, state: str, error: str | None, how: Update = MOVE) -> bool:
    """Change the event's state, unless it is done already: a failure never covers a success."""
    change = {
        "of_mode": mode,
        "of_event": hint.event_id,
        "state": state,
        "error": error,
        "finished_at": clock.now(),
    }
    return bool(db.session.connection().execute(how, change).rowcount)


def _finish(mode: str, hint: Hint, state: str) -> str:
    moved = _move(mode, hint, state, error=None)
    db.session.commit()
    return state if moved else "duplicate"


def _park(mode: str, hint: Hint, reason: Exception | str) -> str:
    """Not ours, or not to be trusted: kept, answered 200, handled again when its object becomes ours."""
    db.session.rollback()
    customer = reason.customer if isinstance(reason, Parked) else None
    if _move(mode, hint, "parked", error=str(reason)) and hint.customer is None and customer:
        named = update(StripeEvent).filter_by(mode=mode, event_id=hint.event_id)
        db.session.execute(named.values(customer_ref=customer))
    if isinstance(reason, Unplaced):
        unplaced.note(reason.found)
    db.session.commit()
    log.info("stripe_webhook_parked", type=hint.type, reason=str(reason))
    return "parked"


def _fail(mode: str, hint: Hint, error: Exception) -> None:
    db.session.rollback()
    _move(mode, hint, "failed", error=f"{type(error).__name__}: {error}", how=FAIL)
    db.session.commit()
    log.error("stripe_webhook_failed", type=hint.type, error=type(error).__name__)
