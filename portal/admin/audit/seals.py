"""Seals of the audit log: a hash over all entries since the last seal, and over that seal, which reveals changes.

Writers never wait for it: a seal covers only entries so old that no transaction can still add to them.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import Row, func, select, text

from portal import clock
from portal.extensions import db, insert, reading
from portal.models import AuditEntry, AuditSeal, Base

log = structlog.get_logger()

SETTLED = timedelta(minutes=2)  # longer than clock differences, and than any transaction should last
EVERY = timedelta(hours=1)
BATCH = 1000
MOST = 20_000  # entries in one seal, so that each is hashed and written within about a second
WRITING = text(
    "SELECT xact_start FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_xid IS NOT NULL AND xact_start IS NOT NULL"
)
ENTRIES = Base.metadata.tables["audit_entries"]


def seal(now: datetime | None = None, settled: timedelta = SETTLED) -> AuditSeal | None:
    """Seal the oldest settled entries since the last seal, at most MOST; return None if there are none. Commits;
    concurrent calls write one seal.
    """
    reading()  # hashing takes a while, and on SQLite nobody could write meanwhile
    last = newest()
    until = min([clock.now(now), *_writing_since()]) - settled
    settled_ones = select(func.max(AuditEntry.id)).where(AuditEntry.at <= until)
    last_id = db.session.execute(settled_ones).scalar_one()
    first_id = last.last_id + 1 if last else 1
    if last_id is None or last_id < first_id:
        db.session.commit()
        return None
    last_id = min(last_id, _full_at(first_id) or last_id)
    digest, entries = _digest(last.digest if last else "", first_id, last_id)
    db.session.commit()
    row = {"first_id": first_id, "last_id": last_id, "entries": entries, "digest": digest}
    statement = insert(AuditSeal).values(sealed_at=clock.now(now), **row).on_conflict_do_nothing()
    db.session.execute(statement)
    db.session.commit()
    # Also logged, because someone who rewrites the table cannot rewrite the logs.
    log.info("audit_sealed", first=first_id, last=last_id, entries=entries, digest=digest)
    return newest()


def run() -> int:
    """Scheduled task: write one seal an hour, and return how many entries it covers. After a full seal more may be
    waiting, so the next one follows at the next run.
    """
    last = newest()
    db.session.commit()
    if last is not None and last.entries < MOST and clock.now() - last.sealed_at < EVERY:
        return 0
    made = seal()
    return made.entries if made else 0


def verify() -> Iterator[str]:
    """Yield one line for each changed or missing entry and each missing seal. Only reads."""
    reading()
    before, expected = "", 1
    for one in db.session.execute(select(AuditSeal).order_by(AuditSeal.id)).scalars():
        if one.first_id != expected:
            yield f"seal {one.id} begins with entry {one.first_id}, not {expected}: a seal before it is missing"
        digest, entries = _digest(before, one.first_id, one.last_id)
        span = f"entries {one.first_id} to {one.last_id}"
        if entries != one.entries:
            yield f"{span}: there are {entries}, and {one.entries} were sealed"
        elif digest != one.digest:
            yield f"{span}: one of them, or the seal before, was changed since they were sealed"
        before, expected = one.digest, one.last_id + 1


def _full_at(first_id: int) -> int | None:
    """Return the id of the last entry of a full seal that begins here; None if there are fewer entries."""
    following = select(AuditEntry.id).where(AuditEntry.id >= first_id).order_by(AuditEntry.id)
    return db.session.execute(following.offset(MOST - 1).limit(1)).scalar_one_or_none()


def _writing_since() -> list[datetime]:
    """Return the start of each transaction that is writing now and may still add entries with lower ids.

    On SQLite there are none: writers run one after another, and an id is assigned under the lock.
    """
    if db.engine.dialect.name != "postgresql":
        return []
    return list(db.session.execute(WRITING).scalars())


def newest() -> AuditSeal | None:
    """Return the last seal; None before the first. A copy of its digest elsewhere reveals removed seals."""
    query = select(AuditSeal).order_by(AuditSeal.id.desc()).limit(1)
    return db.session.execute(query).scalar_one_or_none()


def _digest(before: str, first_id: int, last_id: int) -> tuple[str, int]:
    """Return the hash over a seal's digest and the entries in this range, and the number of entries."""
    summed, entries = hashlib.sha256(before.encode()), 0
    query = select(ENTRIES).where(ENTRIES.c.id.between(first_id, last_id)).order_by(ENTRIES.c.id)
    for row in db.session.execute(query, execution_options={"yield_per": BATCH}):
        summed.update(_canonical(row))
        entries += 1
    return summed.hexdigest(), entries


def _canonical(row: Row[Any]) -> bytes:
    """Return a row as bytes that are identical on every database, and after adding a column that is null in it."""
    facts = {name: value for name, value in row._mapping.items() if value is not None}
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z) + b"\n"
