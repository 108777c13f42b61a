"""Exports everything stored about a user, as a zip that is written while it is sent."""

import csv
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import orjson
from sqlalchemy import ColumnElement, RowMapping, Table, or_, select

from portal import clock
from portal.credits.history.csv_export import plain
from portal.extensions import db, reading
from portal.models import Base, Customer, User

BATCH = 500  # rows sent together
JSON = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE

# Secrets are not exported.
SECRET_TABLES = frozenset(("mail_tokens", "recovery_codes", "refresh_tokens"))
SECRETS = frozenset(("password_hash", "totp_seed", "totp_step", "token_hash", "hash", "card_fingerprint"))
# For actions of others, including staff: the action, but not who did it and from where.
AUDIT = ("id", "at", "action", "subject", "before", "after")
AS_CSV = {"credit_entries": "ledger.csv", "invoices": "invoices.csv"}


def pieces(user_id: int) -> Iterator[bytes]:
    """Yield the zip in pieces: account.json with every table, and CSV files of the ledger and the invoices.

    It reads in one transaction, which ends with the last piece.
    """
    reading()
    out = _Outflow()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, texts in _files(user_id).items():
            with archive.open(name, "w", force_zip64=True) as file:
                for text in texts:
                    file.write(text)
                    yield out.drained()
    yield out.drained()
    db.session.rollback()


def _files(user_id: int) -> dict[str, Iterator[bytes]]:
    tables = Base.metadata.tables
    return {"account.json": _json(user_id)} | {
        name: _csv(tables[table], user_id) for table, name in AS_CSV.items()
    }


def _json(user_id: int) -> Iterator[bytes]:
    """Yield one object: a list of rows under each table's name."""
    yield b'{"exported_at": ' + orjson.dumps(clock.now(), option=JSON)
    for table in Base.metadata.sorted_tables:
        mine = None if table.name in SECRET_TABLES else _mine(table, user_id)
        if mine is None:
            continue
        yield f',"{table.name}": [\n'.encode()
        for number, row in enumerate(_rows(table, mine)):
            yield (b"," if number else b"") + orjson.dumps(dict(row), default=str, option=JSON)
        yield b"]"
    yield b"}\n"


def _csv(table: Table, user_id: int) -> Iterator[bytes]:
    """Yield a table as CSV: amounts in minor units, times in UTC, formulas escaped."""
    mine = _mine(table, user_id)
    assert mine is not None
    yield _line([column.name for column in _columns(table)])
    for row in _rows(table, mine):
        yield _line([plain(value) if isinstance(value, str) else value for value in row.values()])


def _line(cells: list[Any]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode()


def _rows(table: Table, mine: ColumnElement[bool]) -> Iterator[RowMapping]:
    query = select(*_columns(table)).where(mine).order_by(*table.primary_key)
    return iter(db.session.execute(query, execution_options={"yield_per": BATCH}).mappings())


def _columns(table: Table) -> list[Any]:
    if table.name == "audit_entries":
        return [table.c[name] for name in AUDIT]
    return [column for column in table.columns if column.name not in SECRETS]


def _mine(table: Table, user_id: int) -> ColumnElement[bool] | None:
    """Return which rows of a table belong to a user: by user, by customer in either mode, or by a row that
    does.
    """
    if table is User.__table__:
        return table.c.id == user_id
    owned = _owned(table, user_id)
    if owned:
        return or_(*owned)
    for key in table.foreign_keys:
        parent = _owned(key.column.table, user_id)
        if parent:
            return key.parent.in_(select(key.column).where(or_(*parent)))
    return None


def _owned(table: Table, user_id: int) -> list[ColumnElement[bool]]:
    customers = select(Customer.id).where(Customer.user_id == user_id)
    found = [table.c.user_id == user_id] if "user_id" in table.c else []
    return found + ([table.c.customer_id.in_(customers)] if "customer_id" in table.c else [])


class _Outflow(io.RawIOBase):
    """The output buffer of zipfile, emptied by the reader. It is not seekable, so nothing is written twice."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(data)

    def drained(self) -> bytes:
        pieces, self._written = self._written, []
        return b"".join(pieces)
