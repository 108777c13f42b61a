"""The numbers that keep syncs from overtaking each other (money rule 2).

Stripe's timestamps have one-second steps and cannot order two fetches. So each sync takes a number for its
object before it fetches, and writes only where no later number was written. A number taken after a change
always fetches that change: the last write to stay is right.

A snapshot that was fetched under a number has `mode`, `number` and `ticket`, the id that the number counts.

The statements are built once: each webhook runs them, and building them costs more than running them.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from sqlalchemy import Executable, bindparam, select, tuple_, update

from portal import rehearsal
from portal.extensions import db, insert
from portal.models import SyncTicket

USE = (
    update(SyncTicket)
    .where(
        SyncTicket.mode == bindparam("of_mode"),
        SyncTicket.object_id == bindparam("of_object"),
        SyncTicket.applied < bindparam("number"),
    )
    .values(applied=bindparam("number"))
)


@cache
def _take(dialect: str) -> Executable:
    """The upsert of the database in use."""
    return (
        insert(SyncTicket)
        .on_conflict_do_update(index_elements=["mode", "object_id"], set_={"requested": SyncTicket.requested + 1})
        .returning(SyncTicket.requested)
    )


def take(mode: str, object_id: str) -> int:
    """The next number for this object. Commits, so that no lock is held while fetching."""
    if rehearsal.under_way():
        return 0  # and none is used up
    first = {"mode": mode, "object_id": object_id, "requested": 1, "applied": 0}
    number: int = db.session.connection().execute(_take(db.engine.dialect.name), first).scalar_one()
    db.session.commit()
    return number


def hold(*snapshots: Any) -> None:
    """Lock the tickets of everything that these snapshots hold, ahead of all else that the transaction writes.

    Of two transactions that write the same objects in another order, one waits here. On SQLite every transaction
    that writes holds the one write lock from its start.
    """
    wanted = sorted({(each.mode, each.ticket) for each in _numbered(snapshots)})
    if len(wanted) < 2 or db.engine.dialect.name == "sqlite" or rehearsal.under_way():
        return
    query = select(SyncTicket.object_id).where(tuple_(SyncTicket.mode, SyncTicket.object_id).in_(wanted))
    query = query.order_by(SyncTicket.mode, SyncTicket.object_id).with_for_update(key_share=True)
    db.session.connection().execute(query)


def _numbered(found: Any) -> Iterator[Any]:
    """The snapshots that were fetched under a number, wherever they are inside one another."""
    if isinstance(found, (tuple, list)):
        for one in found:
            yield from _numbered(one)
    elif is_dataclass(found) and not isinstance(found, type):
        if hasattr(found, "ticket"):
            yield found
        for each in fields(found):
            yield from _numbered(getattr(found, each.name))


def use(snapshot: Any) -> bool:
    """Whether a snapshot may be written; false when what was fetched later already was."""
    if rehearsal.under_way():
        return True
    used = {"of_mode": snapshot.mode, "of_object": snapshot.ticket, "number": snapshot.number}
    return bool(db.session.connection().execute(USE, used).rowcount)
