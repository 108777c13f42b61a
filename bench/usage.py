"""P6 and P9: reports of usage against a bare multi-row INSERT, the month's sum against a bare GROUP BY.

And how fast a month is billed with Stripe answering at once. Time by the clock, for the database's server does the
work; the two of each contest take turns in one process, through the same driver.
`python -m bench.usage TASK URL FOLDER` prints one task's numbers.
"""

import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
from flask import Flask
from sqlalchemy import insert, select, text

from bench import portal, requests
from bench.databases import Fresh
from bench.race import PYTHON, REPEATS, ROOT
from bench.table import Line, ratios
from portal import clock, gateway
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Customer, Meter, MonthlyBill, StripeCustomer, UsageEvent, User
from portal.usage.monthly_run import claims, runs
from portal.usage.monthly_run.months import Month

BATCH, BATCHES = 1000, 10  # events of a report, reports of a turn
ROWS, CUSTOMERS, METERS = 5_000_000, 10_000, 4
MONTH = Month.of(clock.now()).previous
COLUMNS = "customer_id, identifier, meter_id, units, nanos, occurred_at, month"
GROUP = "SELECT customer_id, meter_id, sum(units), sum(nanos) FROM usage_events WHERE month = {} GROUP BY 1, 2"

# Each customer's events one after another, a second apart; identifiers are equally wide.
MOMENTS = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', {start} + n / 4, 'unixepoch')",
    "postgresql": "to_timestamp({start} + n / 4)",
}
FILL = """
INSERT INTO usage_events ({columns})
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1)
SELECT 1 + n / {each}, CAST(10000000 + n AS TEXT), 1 + n % 4, n % 7, 250000000, {moment}, {month}
FROM numbers
"""

Numbers = dict[str, Any]
_batches = count()


def lines(kind: str, fresh: Fresh, folder: Path) -> Iterator[Line]:
    """The lines of usage on one database."""
    yield _race(
        kind, fresh, folder, "reports", f"P6 usage, reports of {BATCH} / bare multi-row INSERT · {kind}", 2
    )
    yield _race(kind, fresh, folder, "sums", f"P9 sum of a month, 5 million events / bare GROUP BY · {kind}", 1.2)
    found = _numbers(fresh, folder, "bills")
    ours = (
        f"{CUSTOMERS / found['seconds']:.0f}/s, {found['cpu'] * 1000 / CUSTOMERS:.2f} ms CPU each"
        if found
        else "–"
    )
    name = f"bill-month, {CUSTOMERS} customers of {METERS} meters, Stripe at 0 ms · {kind}"
    yield Line(name, 0, ours=ours, skipped="no goal")


def _race(kind: str, fresh: Fresh, folder: Path, task: str, name: str, goal: float) -> Line:
    found = _numbers(fresh, folder, task)
    if "trouble" in found:
        return Line(name, goal, trouble=found["trouble"])
    speeds = {who: f"{found['each'] / sorted(found[who])[REPEATS // 2]:,.0f}/s" for who in ("ours", "floor")}
    return Line(name, goal, **speeds, ratios=ratios(found["ours"], found["floor"]))


def _numbers(fresh: Fresh, folder: Path, task: str) -> Numbers:
    place = folder / task
    place.mkdir(parents=True, exist_ok=True)
    command = [str(PYTHON), "-m", "bench.usage", task, fresh(place), str(place)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        return {"trouble": run.stderr[-2000:]}
    numbers: Numbers = json.loads(run.stdout.splitlines()[-1])
    return numbers


def _turns(ours: Callable[[], None], floor: Callable[[], None]) -> Numbers:
    """Seconds of each repeat; the first of both warms up."""
    found: dict[str, list[float]] = {"ours": [], "floor": []}
    rivals = [("ours", ours), ("floor", floor)]
    for repeat in range(REPEATS + 1):
        for name, work in rivals:
            began = time.perf_counter()
            work()
            if repeat:
                found[name].append(time.perf_counter() - began)
        rivals.reverse()
    return dict(found)


def reports(app: Flask) -> Numbers:
    """Reports as a customer's server sends them, against the rows alone."""
    with app.app_context():
        customer = portal.alice().id
        _, secret = api_keys.mint(portal.alice(), "bench")
        keys = [meter.key for meter in db.session.execute(select(Meter).order_by(Meter.id)).scalars()]
        db.session.commit()
    raw = _driver(app)

    def ours() -> None:
        for body in [_body(next(_batches), keys) for _ in range(BATCHES)]:
            answer = app.wsgi_app(_environ(body, secret), lambda status, headers, exc=None: _check(status))
            assert orjson.loads(b"".join(answer)) == {"accepted": BATCH, "duplicates": 0}, "an event was lost"

    def floor() -> None:
        for rows in [_rows(next(_batches), customer) for _ in range(BATCHES)]:
            _insert(raw, rows)

    return _turns(ours, floor) | {"each": BATCH * BATCHES}


def _body(batch: int, keys: list[str]) -> bytes:
    moment = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
    names = (f"{batch:08}-{number:06}" for number in range(BATCH))
    events = [
        {"meter": keys[n % METERS], "quantity": n % 7 + 0.25, "timestamp": moment, "identifier": name}
        for n, name in enumerate(names)
    ]
    return orjson.dumps({"events": events})


def _rows(batch: int, customer: int) -> list[tuple[object, ...]]:
    now, month = f"{clock.now():%Y-%m-%d %H:%M:%S.000000}", Month.of(clock.now()).number
    names = (f"{batch:08}-{number:06}" for number in range(BATCH))
    return [(customer, name, 1 + n % METERS, n % 7, 250_000_000, now, month) for n, name in enumerate(names)]


def _environ(body: bytes, secret: str) -> dict[str, Any]:
    given = requests.page("/api/v1/usage", Authorization=f"Bearer {secret}")
    sent = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    return given | sent | {"REQUEST_METHOD": "POST"}


def _check(status: str) -> None:
    assert status.startswith("200"), status


def _driver(app: Flask) -> Any:
    """A connection of the driver itself, as durable as the portal's own."""
    with app.app_context():
        return db.engine.raw_connection().driver_connection


def _insert(raw: Any, rows: list[tuple[object, ...]]) -> None:
    cursor, is_sqlite = raw.cursor(), type(raw).__module__.startswith("sqlite3")
    one = f"({', '.join(['?' if is_sqlite else '%s'] * 7)})"
    statement = f"INSERT INTO usage_events ({COLUMNS}) VALUES {{}} ON CONFLICT DO NOTHING"
    if is_sqlite:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(statement.format(one), rows)
    else:
        values = [value for row in rows for value in row]
        cursor.execute(statement.format(", ".join([one] * len(rows))), values)
    raw.commit()


def sums(app: Flask) -> Numbers:
    """The month's aggregation as the run makes it, against the same GROUP BY through the driver."""
    with app.app_context():
        _fill()
        db.session.remove()
    raw = _driver(app)

    def ours() -> None:
        with app.app_context():
            assert len(claims.aggregate(MONTH)) == CUSTOMERS * METERS, "somebody was forgotten"

    def floor() -> None:
        assert len(raw.cursor().execute(GROUP.format(MONTH.number)).fetchall()) == CUSTOMERS * METERS
        raw.rollback()

    return _turns(ours, floor) | {"each": ROWS}


def _fill() -> None:
    dialect = db.engine.dialect.name
    if dialect == "postgresql":
        db.session.execute(text("SET LOCAL statement_timeout = 0"))
    moment = MOMENTS[dialect].format(start=int(MONTH.start.timestamp()))
    facts = {"columns": COLUMNS, "rows": ROWS, "each": ROWS // CUSTOMERS, "month": MONTH.number, "moment": moment}
    db.session.execute(text(FILL.format(**facts)))
    db.session.commit()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if dialect == "postgresql" else "ANALYZE"))


class Stripe:
    """In the SDK client's place: drafts, items and finished invoices at once, and a count of each."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.numbers = count()

    def raw_request(self, _method: str, path: str, **params: Any) -> SimpleNamespace:
        """What was asked for, made."""
        kind = path.rpartition("/")[2]
        self.calls[kind] += 1
        id_ = f"in_{next(self.numbers)}" if kind == "invoices" else path.split("/")[3 if kind == "finalize" else 2]
        status = "open" if kind == "finalize" else "draft"
        facts = {"customer": params.get("customer"), "total": 0, "amount_paid": 0, "amount_due": 0, "amount": 0}
        return SimpleNamespace(
            data=facts | {"id": id_, "status": status, "currency": "usd", "created": 0, "livemode": True}
        )


def bills(app: Flask) -> Numbers:
    """A whole run."""
    with app.app_context():
        _customers()
        stripe = gateway.of("live")._client = Stripe()
        db.session.remove()
        wall, cpu = time.perf_counter(), time.process_time()
        summary = runs.run(app, MONTH, workers=4, begun=lambda count: None, done=lambda count: None)
        numbers = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        assert summary.outcomes == {"invoiced": CUSTOMERS}, summary
        assert stripe.calls == {"invoices": CUSTOMERS, "invoiceitems": CUSTOMERS * METERS, "finalize": CUSTOMERS}
        assert len(db.session.execute(select(MonthlyBill.id).filter_by(state="invoiced")).all()) == CUSTOMERS
    return numbers


def _customers() -> None:
    """So many with an event of each meter, known to Stripe."""
    now, many = clock.now(), range(10, 10 + CUSTOMERS)
    people = [{"id": n, "email": f"{n}@bench.example", "name": "", "created_at": now} for n in many]
    names = [{"customer_id": n, "mode": "live", "stripe_id": f"cus_{n}", "created_at": now} for n in many]
    used = {"units": 12, "nanos": 500_000_000, "occurred_at": MONTH.start, "month": MONTH.number}
    meters = db.session.execute(select(Meter.id)).scalars().all()
    events = [
        {"customer_id": n, "identifier": str(meter), "meter_id": meter} | used for n in many for meter in meters
    ]
    db.session.execute(insert(User), people)
    db.session.execute(
        insert(Customer), [{"id": n, "user_id": n, "mode": "live", "created_at": now} for n in many]
    )
    db.session.execute(insert(StripeCustomer), names)
    db.session.execute(insert(UsageEvent), events)
    db.session.commit()


if __name__ == "__main__":
    task, url, folder = sys.argv[1:]
    print(json.dumps({"reports": reports, "sums": sums, "bills": bills}[task](portal.app(url, Path(folder)))))
