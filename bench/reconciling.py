"""How long `flask reconcile` takes to prove a ledger of 1 million entries, against the minute that it may take.

`python -m bench.reconciling URL FOLDER` prints the seconds of each repeat. Time by the clock, for the database's
server does the work.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from sqlalchemy import bindparam, insert, text, update

from bench import portal
from bench.databases import Fresh
from bench.race import PYTHON, ROOT
from bench.table import Line
from portal import clock
from portal.extensions import db
from portal.models import Customer, User
from portal.models.base import UTCDateTime
from portal.reconcile import in_database

ORDERS, CUSTOMERS = 100_000, 10_000
ENTRIES = 10 * ORDERS  # of an order one that buys, and nine that use it up
REPEATS = 3
ALLOWED = 60.0  # seconds
PATIENCE = 600  # seconds for all of it, filling included
FIRST = 1000  # the first customer's number; Alice has a lower one

NUMBERS = """
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
"""
PURCHASES = """
INSERT INTO orders (id, number, customer_id, mode, kind, item, name, amount, currency, credits, params, attempt,
                       session_id, payment_intent, made_account, state, paid_at, created_at)
{numbers}
SELECT n + 1, 'PO-' || CAST(n AS TEXT), :first + n % :customers, 'live', 'credits', 'credits-starter',
       'Starter', 1000, 'usd', 1000, '{{}}', 1, 'cs_' || CAST(n AS TEXT), 'pi_' || CAST(n AS TEXT), false, 'paid',
       :now, :now FROM numbers
"""
PAYMENTS = """
INSERT INTO payments (id, customer_id, mode, kind, order_id, stripe_id, charge_id, amount, currency,
                      amount_refunded, status, created_at, synced_at)
{numbers}
SELECT n + 1, :first + n % :customers, 'live', 'credits', n + 1, 'pi_' || CAST(n AS TEXT),
       'ch_' || CAST(n AS TEXT), 1000, 'usd', 0, 'succeeded', :now, :now FROM numbers
"""
# Of each twentieth payment all is refunded.
REFUNDS = """
INSERT INTO reversals (customer_id, mode, stripe_id, kind, payment_id, amount, withdrawn, status, created_at,
                       synced_at)
{numbers}
SELECT :first + n % :customers, 'live', 're_' || CAST(n AS TEXT), 'refund', n + 1, 1000, 1000, 'succeeded', :now,
       :now FROM numbers WHERE n % 20 = 0
"""
ENTRIES_OF_ORDERS = """
INSERT INTO credit_entries (id, customer_id, amount, balance_after, reason, reference, order_id, description,
                            created_at)
{numbers}, orders AS (SELECT n, n / 10 AS number, n % 10 AS step FROM numbers),
lines AS (SELECT n, number, :first + number % :customers AS customer, CASE
    WHEN step = 0 THEN 'purchase' WHEN step = 9 AND number % 20 = 0 THEN 'refund' ELSE 'spend' END AS reason
  FROM orders),
amounts AS (SELECT *, CASE reason WHEN 'purchase' THEN 1000 WHEN 'refund' THEN -1000 ELSE -7 END AS amount
  FROM lines)
SELECT n + 1, customer, amount, sum(amount) OVER (PARTITION BY customer ORDER BY n), reason,
       CASE reason WHEN 'purchase' THEN 'cs_' || CAST(number AS TEXT)
                   WHEN 'refund' THEN 're_' || CAST(number AS TEXT) ELSE CAST(n AS TEXT) END,
       CASE reason WHEN 'spend' THEN NULL ELSE number + 1 END, '', :now FROM amounts
"""
BALANCES = """
UPDATE customers SET credit_balance =
  (SELECT balance_after FROM credit_entries WHERE customer_id = customers.id ORDER BY id DESC LIMIT 1)
WHERE id >= :first
"""


def lines(kind: str, fresh: Fresh, folder: Path) -> Iterator[Line]:
    """One line: all that the command proves inside the database, by the clock."""
    place = folder / "reconciling"
    command = [str(PYTHON), "-m", "bench.reconciling", fresh(place), str(place)]
    name = f"flask reconcile, the ledger of 1 million entries / one minute · {kind}"
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except subprocess.TimeoutExpired:
        yield Line(name, 1, trouble=f"not done after {PATIENCE} s")
    except subprocess.CalledProcessError as died:
        yield Line(name, 1, trouble=died.stderr[-2000:])
    else:
        seconds = json.loads(run.stdout)
        yield Line(name, 1, ours=f"{median(seconds):.1f} s", ratios=[one / ALLOWED for one in seconds])


def fill() -> None:
    """Orders, their payments, some refunds, and the ledger that all of it left. Commits."""
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("SET LOCAL statement_timeout = 0"))
    now, customers = clock.now(), range(FIRST, FIRST + CUSTOMERS)
    people = [{"id": n, "email": f"{n}@bench.example", "name": "", "created_at": now} for n in customers]
    db.session.execute(insert(User), people)
    rows = [{"id": n, "user_id": n, "mode": "live", "created_at": now} for n in customers]
    db.session.execute(insert(Customer), rows)
    for statement, count in (
        (PURCHASES, ORDERS),
        (PAYMENTS, ORDERS),
        (REFUNDS, ORDERS),
        (ENTRIES_OF_ORDERS, ENTRIES),
    ):
        _run(statement, count)
    db.session.execute(text(BALANCES), {"first": FIRST})
    db.session.commit()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _run(statement: str, count: int) -> None:
    query = text(statement.format(numbers=NUMBERS)).bindparams(bindparam("now", type_=UTCDateTime()))
    values = {"last": count - 1, "first": FIRST, "customers": CUSTOMERS, "now": clock.now()}
    db.session.execute(query, values)


def prove() -> float:
    """Seconds that it takes to find no difference."""
    begun = perf_counter()
    found = list(in_database.differences("live"))
    assert not found, found[0]
    return perf_counter() - begun


def check() -> None:
    """A single credit too many among them is found."""
    customer = update(Customer).where(Customer.id == FIRST)
    db.session.execute(customer.values(credit_balance=Customer.credit_balance + 1))
    db.session.commit()
    found = [one.about for one in in_database.differences("live")]
    assert found == [f"customer {FIRST}"], found


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # logs go to stderr
    with portal.app(sys.argv[1], Path(sys.argv[2])).app_context():
        fill()
        taken = [prove() for _ in range(REPEATS)]
        check()
    print(json.dumps(taken), file=answers)
