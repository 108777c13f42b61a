"""API keys that customers of an earlier system hold already, imported by prefix and SHA-256."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from sqlalchemy import select

from portal import audit, clock
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db, insert
from portal.importer import csv_files, holders
from portal.importer.csv_files import Line
from portal.models import ApiKey
from portal.models.key import OPERATOR_PREFIX, SCOPES, digest
from portal.sync.locks import lock

NEEDS = ("customer", "prefix", "sha256")
TAKES = ("name", "scopes", "expires")
HASH = re.compile(r"[0-9a-f]{64}")
LONGEST_PREFIX, LONGEST_NAME = 24, 100  # characters, as in the table


@dataclass(frozen=True)
class OldKey:
    """A key of the file. Its secret is known to nobody but its holder."""

    customer: str
    prefix: str
    hash: str
    name: str
    scopes: list[str]
    expires_at: datetime | None


def read(path: Path, mode: Mode) -> list[OldKey]:
    """Read and check a file. Raises BadFile, which names every fault."""
    seen: set[str] = set()
    return csv_files.parsed(csv_files.lines(path, NEEDS, TAKES), lambda line: _parse(line, mode, seen))


def _parse(line: Line, mode: Mode, seen: set[str]) -> OldKey:
    hashed, prefix = line["sha256"].lower(), line["prefix"]
    if not HASH.fullmatch(hashed):
        raise InvalidInput("sha256 is the SHA-256 of the whole key, in 64 hexadecimal digits.")
    csv_files.once(hashed, "key", seen)
    _check_prefix(prefix, hashed)
    scopes = line["scopes"].split() or list(SCOPES)
    if unknown := set(scopes) - set(SCOPES):
        raise InvalidInput(f"unknown scope {', '.join(sorted(unknown))}; known: {', '.join(SCOPES)}.")
    name = line["name"] or "Imported key"
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"the name has more than {LONGEST_NAME} characters.")
    _check_holder(line["customer"], hashed, mode)
    return OldKey(line["customer"], prefix, hashed, name, scopes, _last_moment(line["expires"]))


def _check_prefix(prefix: str, hashed: str) -> None:
    if not 0 < len(prefix) <= LONGEST_PREFIX:
        raise InvalidInput(f"the prefix has 1 to {LONGEST_PREFIX} characters, the first ones of the key.")
    if digest(prefix) == hashed:
        raise InvalidInput("the prefix is the whole key, which is stored nowhere: give its first characters.")
    if prefix.startswith(OPERATOR_PREFIX):
        raise InvalidInput(f"keys that begin with {OPERATOR_PREFIX} are operator keys, so this one cannot work.")


def _check_holder(word: str, hashed: str, mode: Mode) -> None:
    """Check that the customer can be found, and that the key is not another's."""
    customer = holders.find(word, mode)
    owner = db.session.execute(select(ApiKey.customer_id).filter_by(hash=hashed)).scalar_one_or_none()
    if owner is not None and (customer is None or customer.id != owner):
        raise InvalidInput(f"customer {owner} has this key already.")


def _last_moment(day: str) -> datetime | None:
    """Return the end of a day in UTC; None if there is none."""
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day), time.max, UTC)
    except ValueError:
        raise InvalidInput("expires is the last day, such as 2030-12-31.") from None


def bring(keys: list[OldKey], mode: Mode) -> Iterator[str]:
    """Write each key in a transaction of its own. Yields "new", or "known" if it was there. Nobody is mailed."""
    db.session.commit()
    for key in keys:
        yield _bring(key, mode)


def _bring(key: OldKey, mode: Mode) -> str:
    customer = holders.of(key.customer, mode)
    lock(customer.id)
    row = {
        "customer_id": customer.id,
        "name": key.name,
        "prefix": key.prefix,
        "hash": key.hash,
        "scopes": key.scopes,
        "created_at": clock.now(),
        "imported_at": clock.now(),
        "expires_at": key.expires_at,
    }
    statement = insert(ApiKey).values(row).on_conflict_do_nothing(index_elements=["hash"]).returning(ApiKey.id)
    key_id = db.session.execute(statement).scalar_one_or_none()
    if key_id is None:
        db.session.rollback()
        return "known"
    facts = {"key": key.prefix, "scopes": key.scopes}
    audit.record("key.imported", customer_id=customer.id, subject=str(key_id), after=facts)
    db.session.commit()
    return "new"
