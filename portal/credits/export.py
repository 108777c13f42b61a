"""The history as CSV, a line at a time."""

import csv
import io
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from portal import money
from portal.credits.history import Row
from portal.pages import rfc3339

# A spreadsheet takes a cell that begins so for a formula, and runs it (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
BATCH = 200  # lines that go out together


def csv_lines(rows: Iterable[Row], zone: str) -> Iterator[str]:
    """The file in pieces, its header first. Amounts in major units; one column of times in `zone`, one in UTC."""
    local = ZoneInfo(zone)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(
        [
            f"Date ({zone})",
            "Date (UTC)",
            "Kind",
            "Description",
            "Reference",
            "Amount",
            "Currency",
            "Credits",
            "Balance",
            "Status",
            "Link",
        ]
    )
    for number, row in enumerate(rows, start=1):
        writer.writerow([f"{row.created_at.astimezone(local):%Y-%m-%d %H:%M:%S}", *_cells(row)])
        if number % BATCH == 0:
            yield _drained(buffer)
    yield _drained(buffer)


def plain(text: str | None) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe stands before what would begin one."""
    words = text or ""
    return f"'{words}" if words.lstrip(" ").startswith(FORMULA) else words


def _cells(row: Row) -> list[object]:
    """Our own numbers stay numbers, minus sign and all; everything that is words is made plain."""
    amount = None if row.amount is None or row.currency is None else money.major(row.amount, row.currency)
    return [
        rfc3339(row.created_at),
        plain(row.kind),
        plain(row.description),
        plain(row.reference),
        amount,
        (row.currency or "").upper(),
        row.credits,
        row.balance,
        plain(row.status),
        plain(row.url),
    ]


def _drained(buffer: io.StringIO) -> str:
    lines = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return lines
