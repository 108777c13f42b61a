"""The numbers that keep syncs from overtaking each other (money rule 2).

Stripe's timestamps have one-second steps and cannot order two fetches. So each sync takes a number for its
object before it fetches, and writes only where no later number was written. A number taken after a change
always fetches that change: the last write to stay is right.
"""

from sqlalchemy import update

from portal.extensions import db, insert
from portal.models import SyncTicket


def take(mode: str, object_id: str) -> int:
    """The next number for this object. Commits, so that no lock is held while fetching."""
    statement = insert(SyncTicket).values(mode=mode, object_id=object_id, requested=1, applied=0)
    statement = statement.on_conflict_do_update(
        index_elements=["mode", "object_id"], set_={"requested": SyncTicket.requested + 1}
    )
    number = db.session.execute(statement.returning(SyncTicket.requested)).scalar_one()
    db.session.commit()
    return number


def use(mode: str, object_id: str, number: int) -> bool:
    """Whether what was fetched under this number may be written; false when a later fetch already was."""
    statement = (
        update(SyncTicket)
        .where(SyncTicket.mode == mode, SyncTicket.object_id == object_id, SyncTicket.applied < number)
        .values(applied=number)
        .execution_options(synchronize_session=False)
    )
    return bool(db.session.execute(statement).rowcount)  # type: ignore[attr-defined]
