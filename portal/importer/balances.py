"""Credit balances of an earlier system: credits without an expiry, each given once by its reference."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from portal import audit
from portal.credits import ledger
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.importer import csv_files, holders
from portal.importer.csv_files import Line
from portal.models import AuditEntry
from portal.sync.locks import lock

NEEDS = ("customer", "credits", "reference")
TAKES = ("note",)
WHOLE = re.compile(r"-?[0-9]{1,12}")
LONGEST_REFERENCE, LONGEST_NOTE = 200, 255  # characters
NOTE = "Balance of the earlier system"


@dataclass(frozen=True)
class Balance:
    """Whole credits for one customer; negative ones are debt."""

    customer: str
    credits: int
    reference: str
    note: str


def read(path: Path, mode: Mode) -> list[Balance]:
    """Read and check a file. Raises BadFile, which names every fault."""
    seen: set[str] = set()
    return csv_files.parsed(csv_files.lines(path, NEEDS, TAKES), lambda line: _parse(line, mode, seen))


def _parse(line: Line, mode: Mode, seen: set[str]) -> Balance:
    reference, note = line["reference"], line["note"] or NOTE
    if not WHOLE.fullmatch(line["credits"]):
        raise InvalidInput("credits is a whole number.")
    if not 0 < len(reference) <= LONGEST_REFERENCE:
        raise InvalidInput(f"the reference has 1 to {LONGEST_REFERENCE} characters, unique in the earlier system.")
    if len(note) > LONGEST_NOTE:
        raise InvalidInput(f"the note has more than {LONGEST_NOTE} characters.")
    csv_files.once(reference, "reference", seen)
    credits = int(line["credits"])
    given = select(AuditEntry.after).where(AuditEntry.key == _key(reference, mode))
    known = db.session.execute(given).scalar_one_or_none()
    if known is not None and known["credits"] != credits:
        raise InvalidInput(f"{known['credits']:,} credits were imported with this reference before.")
    if known is None:
        holders.find(line["customer"], mode)
    return Balance(line["customer"], credits, reference, note)


def bring(balances: list[Balance], mode: Mode) -> Iterator[str]:
    """Post each balance in a transaction of its own.

    Yields "new"; "known" if its reference was imported before; "empty" for no credits. Nobody is mailed.
    """
    db.session.commit()
    for balance in balances:
        yield _bring(balance, mode) if balance.credits else "empty"


def _bring(balance: Balance, mode: Mode) -> str:
    key = _key(balance.reference, mode)
    if db.session.execute(select(AuditEntry.id).where(AuditEntry.key == key)).first():
        db.session.rollback()
        return "known"
    customer = lock(holders.of(balance.customer, mode).id)
    # The key is unique in the database: of two imports at once, one writes this entry, and the other rolls back.
    after = {"credits": balance.credits}
    if not audit.record(
        "balance.imported", customer_id=customer.id, subject=balance.reference, after=after, key=key
    ):
        db.session.rollback()
        return "known"
    reference = f"import:{balance.reference}"
    ledger.post(customer.id, balance.credits, "adjustment", reference, description=balance.note)
    db.session.commit()
    return "new"


def _key(reference: str, mode: Mode) -> str:
    return f"balance.imported:{mode}:{reference}"
