"""A dry run of a replay: the event is handled, the rows are compared, and everything is rolled back."""

from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Table, func, or_, select

from portal import dry_run
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Base, Payment, StripeEvent
from portal.orders.fulfillment import Mismatch
from portal.webhooks import hints, inbox, search
from portal.webhooks.parked import Parked

log = structlog.get_logger()

# Too many rows per customer, which never change: only new ones are compared.
ONLY_GROW = ("credit_entries", "audit_entries", "usage_events")
NOISE = ("id", "synced_at", "mrr_since", "access_version", "params", "hash", "password_hash", "token_hash")

Row = dict[str, Any]
Photograph = dict[tuple[str, int], Row]


@dataclass(frozen=True)
class Change:
    """A row that would change: its differing columns, before and after. `before` is empty for a new row."""

    table: str
    id: int
    before: Row
    after: Row


@dataclass(frozen=True)
class Rehearsal:
    """The outcome of handling the event, with a reason, and the changes."""

    outcome: str
    reason: str = ""
    changes: list[Change] = field(default_factory=list)


def rehearse(event: StripeEvent) -> Rehearsal:
    """Handle a stored event and roll everything back, so that no row of any table changes.

    Ends the transaction. Nothing is done at Stripe either: an event that needs a call says so in its outcome.
    """
    db.session.commit()
    if not event.payload:
        return Rehearsal("refused", hints.REMOVED)
    try:
        with dry_run.rehearsing():
            return _rehearse(event)
    except (Parked, Mismatch) as reason:
        return Rehearsal("parked", str(reason))
    except dry_run.WouldAct as wish:
        return Rehearsal("not rehearsed", f"It would ask Stripe to act: {wish}. A replay does so.")
    except StripeRefused as error:
        gone = error.stripe_code == "resource_missing"
        return Rehearsal("parked", "Stripe does not know it.") if gone else Rehearsal("failed", error.detail)
    except Exception as error:  # what a replay would write on the event's row
        log.warning("rehearsal_failed", event_id=event.event_id, type=event.type, exc_info=error)
        return Rehearsal("failed", f"{type(error).__name__}: {error}")
    finally:
        db.session.rollback()
        db.session.expire_all()


def _rehearse(event: StripeEvent) -> Rehearsal:
    hint = hints.stored(event.payload)
    handlers = inbox.handlers_of(event.mode, hint)
    if not handlers:
        return Rehearsal("ignored", "Nobody here handles such events.")
    snapshots = inbox.act(handlers, inbox.read(handlers, event.mode, hint))
    db.session.rollback()
    _keep_others_out_of_sight()
    owner = _owner(event)
    newest = {table.name: _newest(table) for table in _tables()}
    before = _photograph(owner, newest)
    inbox.apply(handlers, snapshots)
    db.session.flush()
    return Rehearsal("processed", changes=_differences(before, _photograph(owner, newest)))


def _keep_others_out_of_sight() -> None:
    """Hide concurrent writes of others from the comparison; SQLite has none."""
    if db.engine.dialect.name == "postgresql":
        db.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _owner(event: StripeEvent) -> int | None:
    """Return the customer whose rows are compared. The object of a refund or dispute names only a payment."""
    if customer := search.customer_of(event):
        return customer.id
    thing = hints.thing(event.payload)
    query = select(Payment.customer_id).where(
        Payment.mode == event.mode,
        or_(Payment.stripe_id == thing.get("payment_intent"), Payment.charge_id == thing.get("charge")),
    )
    return db.session.execute(query).scalars().first()


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if "id" in table.c and table.name != "stripe_events"]


def _newest(table: Table) -> int:
    return int(db.session.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())


def _photograph(owner: int | None, newest: dict[str, int]) -> Photograph:
    """Read the owner's rows and new ones; without an owner (the first order of a new customer) only new ones."""
    taken: Photograph = {}
    for table in _tables():
        which = or_(*_which(table, owner, newest[table.name]))
        for row in db.session.execute(select(table).where(which)).mappings():
            taken[table.name, row["id"]] = dict(row)
    return taken


def _which(table: Table, owner: int | None, newest: int) -> list[ColumnElement[bool]]:
    conditions = [table.c.id > newest]
    if owner is None:
        return conditions
    if "customer_id" in table.c:  # others may be ordering at the same time
        conditions = [(table.c.id > newest) & ((table.c.customer_id == owner) | table.c.customer_id.is_(None))]
        if table.name not in ONLY_GROW:
            conditions.append(table.c.customer_id == owner)
    if table.name == "customers":
        conditions.append(table.c.id == owner)
    return conditions


def _differences(before: Photograph, after: Photograph) -> list[Change]:
    changes = []
    for (table, row_id), row in after.items():
        known = before.get((table, row_id), {})
        names = [name for name, value in row.items() if name not in NOISE and value != known.get(name)]
        if names:
            old = {name: known[name] for name in names} if known else {}
            changes.append(Change(table, row_id, old, {name: row[name] for name in names}))
    return changes
