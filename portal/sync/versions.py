"""The numbers that keep an older fetch from overwriting a newer one.

Stripe's timestamps have one-second steps and cannot order two fetches. So each sync takes a number for its object
before it fetches, and writes only if no later number has been written. A number taken after a change always
fetches that change, so the final write is correct.

A snapshot has `mode`, `number` and `ticket`, the id that the number belongs to.

The statements are built once: each webhook runs them, and building them costs more than running them.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from sqlalchemy import Executable, bindparam, select, tuple_, update

from portal import dry_run
from portal.enums import Mode
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
    """Return the upsert for the database in use."""
    return (
        insert(SyncTicket)
        .on_conflict_do_update(index_elements=["mode", "object_id"], set_={"requested": SyncTicket.requested + 1})
        .returning(SyncTicket.requested)
    )


def take(mode: Mode, object_id: str) -> int:
    """Take and return the next number for this object. Commits, so that no lock is held while fetching."""
    if dry_run.under_way():
        return 0  # without using up a number
    first = {"mode": mode, "object_id": object_id, "requested": 1, "applied": 0}
    number: int = db.session.connection().execute(_take(db.engine.dialect.name), first).scalar_one()
    db.session.commit()
    return number


def hold(*snapshots: Any) -> None:
    """Lock the tickets of everything in these snapshots, before all other writes of the transaction.

    If two transactions write the same objects in different orders, one waits here.
    """
    wanted = sorted({(each.mode, each.ticket) for each in _numbered(snapshots)})
    if len(wanted) < 2 or dry_run.under_way():
        return
    query = select(SyncTicket.object_id).where(tuple_(SyncTicket.mode, SyncTicket.object_id).in_(wanted))
    query = query.order_by(SyncTicket.mode, SyncTicket.object_id).with_for_update(key_share=True)
    db.session.connection().execute(query)


def _numbered(found: Any) -> Iterator[Any]:
    """Yield the snapshots that have a number, including nested ones."""
    if isinstance(found, (tuple, list)):
        for one in found:
            yield from _numbered(one)
    elif is_dataclass(found) and not isinstance(found, type):
        if hasattr(found, "ticket"):
            yield found
        for each in fields(found):
            yield from _numbered(getattr(found, each.name))


def use(snapshot: Any) -> bool:
    """Return whether a snapshot may be written: False if a later fetch has been written already."""
    if dry_run.under_way():
        return True
    used = {"of_mode": snapshot.mode, "of_object": snapshot.ticket, "number": snapshot.number}
    return bool(db.session.connection().execute(USE, used).rowcount)
