"""Handling stored events again: by hand, after a crash, when their object became ours, or because missed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import orjson
import structlog
from sqlalchemy import ColumnElement, exists, select

from portal import clock, gateway
from portal.errors import PortalError
from portal.extensions import db
from portal.models import Purchase, StripeCustomer, StripeEvent
from portal.purchases import fulfilment, unplaced
from portal.webhooks import hints, inbox
from portal.webhooks.handlers import HANDLERS

log = structlog.get_logger()

BATCH = 100
PARKED_TRIES = 4  # what is parked though its customer is ours (a mismatch, say) is not tried for ever
LEFT_AFTER = timedelta(minutes=1)  # a `received` event this old belongs to no request any more


def replay(event: StripeEvent) -> str:
    """Handle a stored event again, done or not: handlers ask Stripe anew, so nothing happens twice. Commits."""
    event.state = "received"
    db.session.commit()
    return inbox.handle(event.mode, hints.parse(event.payload.encode()))


def backfill(mode: str, since: datetime) -> Iterator[tuple[str, str]]:
    """Fetch from Stripe what was raised since then and never came, and handle it; gives id and outcome of each.

    Stripe keeps events for 30 days (https://docs.stripe.com/api/events). Order does not matter: handlers ask
    Stripe how things are now.
    """
    raised = gateway.of(mode).events(created={"gte": int(since.timestamp())})
    while batch := list(islice(raised, BATCH)):
        for event in _missed(mode, batch):
            try:
                yield event["id"], inbox.receive(mode, orjson.dumps(event))
            except PortalError as error:  # recorded on its row; the others go on
                yield event["id"], f"failed: {error.code}"


def _missed(mode: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that somebody here would handle and that are in no row of ours. Ends the transaction."""
    heard = [event for event in events if event["type"] in HANDLERS]
    ids = [event["id"] for event in heard]
    query = select(StripeEvent.event_id).where(StripeEvent.mode == mode, StripeEvent.event_id.in_(ids))
    known = set(db.session.execute(query).scalars())
    db.session.commit()
    return [event for event in heard if event["id"] not in known]


def sweep() -> int:
    """Handle what a crash left `received`, and what was parked about a customer or an order that is ours by now.

    First the payments that arrived without an order are fulfilled, where their price gives a plan by now.

    Stripe delivers what failed again by itself. Gives how many.
    """
    for mode, session_id in unplaced.mended():
        try:
            fulfilment.fulfil(mode, session_id)
        except PortalError as error:  # the others go on; this one is tried again
            db.session.rollback()
            log.error("payment_not_placed", session=session_id, error=error.code)
    return len(list(_handle_all(_left() | _adopted() | _ordered())))


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


def _ordered() -> ColumnElement[bool]:
    """Parked before there was an order, such as one of a price that nobody had mapped."""
    ordered = exists().where(Purchase.mode == StripeEvent.mode, Purchase.session_id == StripeEvent.object_id)
    return (StripeEvent.state == "parked") & (StripeEvent.attempts < PARKED_TRIES) & ordered


def _handle_all(which: ColumnElement[bool], limit: int = 1000) -> Iterator[tuple[str, str]]:
    events = (
        db.session.execute(select(StripeEvent).where(which).order_by(StripeEvent.id).limit(limit)).scalars().all()
    )
    db.session.commit()
    for event in events:
        try:
            yield event.event_id, inbox.handle(event.mode, hints.parse(event.payload.encode()))
        except Exception as error:  # recorded on its row; the others go on
            yield event.event_id, f"failed: {type(error).__name__}"
