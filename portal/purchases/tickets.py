"""The numbers that keep syncs from overtaking each other (money rule 2).

Stripe's timestamps have one-second steps and cannot order two fetches. So each sync takes a number for its
object before it fetches, and writes only where no later number was written. A number taken after a change
always fetches that change: the last write to stay is right.

The statements are built once: each webhook runs them, and building them costs more than running them.
"""

from functools import cache

from sqlalchemy import Executable, bindparam, update

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


def use(mode: str, object_id: str, number: int) -> bool:
    """Whether what was fetched under this number may be written; false when a later fetch already was."""
    if rehearsal.under_way():
        return True
    used = {"of_mode": mode, "of_object": object_id, "number": number}
    return bool(db.session.connection().execute(USE, used).rowcount)
