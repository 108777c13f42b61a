"""P7: how many credit spends a second 8 threads get through, against the bare statement they come down to.

Both go through the same engine, for the pool's ping is the price of outliving a restart of the database, not of
the ledger. They take turns in one process; after each database's run every ledger is added up.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from flask import Flask
from sqlalchemy import insert, text

from bench import portal
from bench.databases import Fresh
from bench.race import PYTHON, REPEATS, ROOT
from bench.table import Line, ratios
from portal import clock
from portal.credits import ledger
from portal.extensions import db
from portal.models import Customer, User

THREADS, SPENDS = 8, 75  # spends of each thread in each turn
ACCOUNTS = {"one hot account": 1, "1000 accounts": 1000}
CREDITS = 10**9
FIRST = 1000  # Alice has a lower number
GOAL = 1.25  # seconds by seconds: 0.8 of the floor's spends a second

FLOOR = text("""
WITH moved AS (
  UPDATE customers SET credit_balance = credit_balance - :credits
  WHERE id = :customer AND credit_balance >= :credits RETURNING credit_balance)
INSERT INTO credit_entries (customer_id, amount, balance_after, reason, reference, description, created_at)
SELECT :customer, -:credits, credit_balance, 'spend', :reference, '', :now FROM moved RETURNING id""")

WRONG = text("""
SELECT count(*) FROM customers JOIN (
  SELECT customer_id, sum(amount) AS total, (array_agg(balance_after ORDER BY id DESC))[1] AS last
  FROM credit_entries GROUP BY customer_id) AS books ON customers.id = books.customer_id
WHERE credit_balance <> total OR credit_balance <> last""")

Spend = Callable[[int, str], None]  # by an account's number, under a reference
_turns = count()


def lines(kind: str, fresh: Fresh, folder: Path) -> Iterator[Line]:
    """A line for one account that all threads spend from, and one for a thousand; on PostgreSQL alone."""
    if kind != "PostgreSQL":
        return
    place = folder / "spending"
    place.mkdir(parents=True, exist_ok=True)
    command = [str(PYTHON), "-m", "bench.spending", fresh(place), str(place)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        yield Line(f"P7 credit spend · {kind}", GOAL, trouble=run.stderr[-2000:])
        return
    for which, seconds in json.loads(run.stdout.splitlines()[-1]).items():
        yield Line(
            f"P7 credit spend, {which}, {THREADS} threads / one-statement CTE by the same engine · {kind}",
            GOAL,
            ours=_speed(seconds["ours"]),
            floor=_speed(seconds["floor"]),
            ratios=ratios(seconds["ours"], seconds["floor"]),
        )


def _speed(seconds: list[float]) -> str:
    return f"{THREADS * SPENDS / sorted(seconds)[len(seconds) // 2]:.0f}/s"


def race(url: str, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds of each repeat, by number of accounts and contestant."""
    app = portal.app(url, folder)
    found = {}
    with app.app_context():
        _open_accounts()
    for which, accounts in ACCOUNTS.items():
        found[which] = _repeats(app, accounts)
    with app.app_context():
        assert db.session.execute(WRONG).scalar_one() == 0, "an entry was lost or doubled"
        spent = db.session.execute(text("SELECT count(*) FROM credit_entries WHERE reason = 'spend'"))
        assert spent.scalar_one() == next(_turns) * THREADS * SPENDS, "a spend was lost"
    return found


def _open_accounts() -> None:
    now, numbers = clock.now(), range(FIRST, FIRST + max(ACCOUNTS.values()))
    db.session.execute(
        insert(User), [{"id": n, "email": f"{n}@bench.example", "name": "", "created_at": now} for n in numbers]
    )
    db.session.execute(
        insert(Customer), [{"id": n, "user_id": n, "mode": "live", "created_at": now} for n in numbers]
    )
    for number in numbers:
        ledger.post(number, CREDITS, "purchase", "cs_bench")
    db.session.commit()


def _repeats(app: Flask, accounts: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"ours": [], "floor": []}
    contestants = [("ours", _ours), ("floor", _floor)]
    for repeat in range(REPEATS + 1):
        for name, spend in contestants:
            took = _turn(app, spend, accounts)
            if repeat:  # the first warms up
                seconds[name].append(took)
        contestants.reverse()
    return seconds


def _turn(app: Flask, spend: Spend, accounts: int) -> float:
    """Seconds in which all threads have done their spends."""
    turn, barrier = next(_turns), threading.Barrier(THREADS + 1)

    def work(thread: int) -> None:
        with app.app_context():
            barrier.wait()
            for number in range(SPENDS):
                account = FIRST + (thread * SPENDS + number) * 7 % accounts
                spend(account, f"{turn}-{thread}-{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _ours(account: int, reference: str) -> None:
    ledger.spend(account, 1, reference)
    db.session.commit()


def _floor(account: int, reference: str) -> None:
    values = {"credits": 1, "customer": account, "reference": reference, "now": clock.now()}
    with db.engine.begin() as connection:
        connection.execute(FLOOR, values).one()


if __name__ == "__main__":
    print(json.dumps(race(sys.argv[1], Path(sys.argv[2]))))
