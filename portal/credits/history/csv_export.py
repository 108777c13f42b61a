"""The history as CSV, streamed line by line."""

import csv
import io
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from portal import money
from portal.credits.history.transactions import Row
from portal.web.pages import rfc3339

# Spreadsheets run a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
BATCH = 200  # lines sent together


def csv_lines(rows: Iterable[Row], zone: str) -> Iterator[str]:
    """Yield the file in pieces, header first. Amounts are in major units; one time column is in `zone`, one in
    UTC.
    """
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
    """Prefix an apostrophe to text that a spreadsheet would run as a formula."""
    words = text or ""
    return f"'{words}" if words.lstrip(" ").startswith(FORMULA) else words


def _cells(row: Row) -> list[object]:
    """Return a row's cells. Numbers stay numbers, including the minus sign; all text is escaped."""
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
