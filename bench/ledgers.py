"""Two ledgers, one of 5 million entries and one of 10 thousand, each all one customer's: pages of both in turns.

`python -m bench.ledgers LONG_URL LONG_FOLDER SHORT_URL SHORT_FOLDER` prints the median milliseconds of each
repeat, for the long ledger and for the short one. Time by the clock, for the database's server does the work.
"""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter

from flask import Flask
from sqlalchemy import text, update

from bench import portal
from portal.credits.history import sources, transactions
from portal.credits.history.transactions import Filter, Position
from portal.extensions import db
from portal.models import Customer
from portal.reconcile import in_database

ROWS = (5_000_000, 10_000)
REPEATS = 5
PAGES = 60  # of each ledger in a repeat
WARM_UP = 20
EVERYTHING = Filter()
FIRST = datetime.fromtimestamp(1_700_000_000, UTC)

# A spend each second after FIRST; references are equally wide, so that they come in the order of their index.
MOMENTS = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', 1700000000 + n, 'unixepoch')",
    "postgresql": "to_timestamp(1700000000 + n)",
}
FILL = """
INSERT INTO credit_entries (customer_id, amount, balance_after, reason, reference, description, created_at)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
SELECT :customer, -1, -n, 'spend', CAST(10000000 + n AS TEXT), 'A call', {moment} FROM numbers
"""


def ledger(url: str, folder: Path, rows: int) -> Flask:
    """A portal whose one customer has so many entries."""
    app = portal.app(url, folder)
    with app.app_context():
        dialect = db.engine.dialect.name
        if dialect == "postgresql":
            db.session.execute(text("SET LOCAL statement_timeout = 0"))
        customer = portal.alice().id
        db.session.execute(text(FILL.format(moment=MOMENTS[dialect])), {"rows": rows, "customer": customer})
        db.session.execute(update(Customer).values(credit_balance=-rows))
        db.session.commit()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE" if dialect == "postgresql" else "ANALYZE"))
        db.session.remove()
    return app


def pages(app: Flask, rows: int) -> Iterator[float]:
    """Milliseconds of one page after another, without end: the newest, one in the middle, one near the end."""
    with app.app_context():
        customer = portal.alice()
        db.session.remove()
    middle, last = (Position(FIRST + timedelta(seconds=n), sources.ENTRY, n) for n in (rows // 2, rows // 100))
    for place in cycle((None, middle, last)):
        with app.app_context():
            begun = perf_counter()
            found, _ = transactions.page(customer, EVERYTHING, place)
            seconds = perf_counter() - begun
        assert len(found) == transactions.PAGE, "a page was short"
        yield seconds * 1000


def race(rivals: list[Iterator[float]]) -> list[list[float]]:
    """The median of each rival in each repeat; they take turns, the order reversed each turn."""
    for rival in rivals:
        list(islice(rival, WARM_UP))
    medians: list[list[float]] = [[] for _ in rivals]
    for _ in range(REPEATS):
        times: list[list[float]] = [[] for _ in rivals]
        for turn in range(PAGES):
            for number in range(len(rivals))[:: 1 if turn % 2 else -1]:
                times[number].append(next(rivals[number]))
        for number, taken in enumerate(times):
            medians[number].append(median(taken))
    return medians


def check(app: Flask) -> None:
    """Check that the ledger is still consistent."""
    with app.app_context():
        assert not list(in_database.balances("live")), "the ledger does not add up"


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # logs go to stderr
    apps = [
        ledger(url, Path(folder), rows)
        for url, folder, rows in zip(sys.argv[1::2], sys.argv[2::2], ROWS, strict=True)
    ]
    found = race([pages(app, rows) for app, rows in zip(apps, ROWS, strict=True)])
    for app in apps:
        check(app)
    print(json.dumps(found), file=answers)
