"""Runs that are killed, that meet, and that are large: nobody is billed twice, and nobody is forgotten."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, update

from portal import clock
from portal.catalogue import meters
from portal.extensions import db
from portal.gateway.calls import Calls
from portal.models import Customer, Meter, MonthlyBill, MonthlyBillLine, StripeCustomer, UsageEvent, User
from portal.usage.events import reports, usage_events
from portal.usage.events.reports import Event
from portal.usage.monthly_run import claims, closed_months, runs
from tests.support.books import a_customer
from tests.support.usage import LAST, bill_of, invoices, lines_of, record, run
from tests.support.world import World

pytestmark = pytest.mark.both_databases

CALLS = ("customer", "draft", "first line", "second line", "final")  # that bring one bill to Stripe, in turn


def in_a_process(app: Flask, work: Callable[[], object]) -> int:
    """Run it in a process with its own database connections, and return the process id immediately."""
    db.session.remove()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with app.app_context():
                db.engine.dispose(close=False)
                work()
                status = 0
        finally:
            os._exit(status)
    return child


def bill_everybody(app: Flask, workers: int = 1) -> runs.Summary:
    return runs.run(app, LAST, workers=workers, begun=lambda count: None, done=lambda count: None)


def killed(app: Flask, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
    """Kill a run at its n-th call that changes something at Stripe: before the call, or after it."""

    def dying() -> None:
        ask, calls = Calls._ask, 0

        def counted(self: Calls, method: str, *args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += method == "post"
            is_now = method == "post" and calls == at + 1
            if is_now and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = ask(self, method, *args, **kwargs)
            if is_now:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        monkeypatch.setattr(Calls, "_ask", counted)  # in this process, which dies
        bill_everybody(app)

    _, status = os.waitpid(in_a_process(app, dying), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(len(CALLS)), ids=CALLS)
def test_killed_at_any_call_the_rerun_ends_the_same(
    here: World, app: Flask, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    customer_id = a_customer()
    record(customer_id, ("a", 10, "cpu_hour"), ("b", 3, "gpu_hour"))
    killed(app, monkeypatch, at, after=after)
    with app.app_context():  # as if a day had passed: Stripe has forgotten the keys
        db.session.execute(update(MonthlyBill).values(attempt=MonthlyBill.attempt + 7))
        db.session.commit()
    for _ in range(2):
        answer = run(app)
        assert answer.exit_code == 0, answer.output
    (invoice,) = invoices(here, customer_id)
    assert (invoice.status, invoice.total, len(invoice.lines.data)) == ("open", 700, 2)
    assert {name: amount for name, (amount, _) in lines_of(invoice).items()} == {"cpu_hour": 100, "gpu_hour": 600}
    assert bill_of(customer_id).invoice_id == invoice.id


def test_killed_while_claiming_the_rerun_claims_the_rest(
    here: World, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [a_customer(f"c{number}") for number in range(5)]
    for customer_id in customers:
        record(customer_id, ("a", 10, "cpu_hour"))
    monkeypatch.setattr(claims, "TOGETHER", 2)
    write, turns = claims._write, []

    def dying(*args: Any) -> Any:
        turns.append(write(*args))
        if len(turns) == 2:  # written, not committed
            os.kill(os.getpid(), signal.SIGKILL)
        return turns[-1]

    def work() -> None:
        claims._write = dying
        claims.claim(LAST)

    _, status = os.waitpid(in_a_process(app, work), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert db.session.execute(select(func.count()).select_from(MonthlyBill)).scalar_one() == 2
    db.session.commit()
    assert run(app).exit_code == 0
    assert [invoice.total for one in customers for invoice in invoices(here, one)] == [100] * 5


def test_two_runs_beside_each_other_bill_each_customer_once(here: World, app: Flask) -> None:
    customers = [a_customer(f"c{number}") for number in range(8)]
    for customer_id in customers:
        record(customer_id, ("a", 10, "cpu_hour"))
    children = [in_a_process(app, lambda: bill_everybody(app, workers=2)) for _ in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert run(app).exit_code == 0
    assert [[invoice.total for invoice in invoices(here, one)] for one in customers] == [[100]] * 8
    bills = select(func.count()).select_from(MonthlyBill).where(MonthlyBill.state == "invoiced")
    assert db.session.execute(bills).scalar_one() == 8


def test_usage_that_is_reported_while_a_run_begins_is_on_one_bill(here: World, app: Flask) -> None:
    customer_id = a_customer()
    moment = LAST.end - timedelta(seconds=1)
    closed = threading.Event()

    def report(thread: int) -> None:
        with app.app_context():
            for turn in range(1000):
                name = f"{thread}-{turn}"
                one = Event(meter="cpu_hour", quantity=Decimal(1), identifier=name, timestamp=moment.isoformat())
                usage_events.record(customer_id, reports.read([one], LAST.end))
                db.session.commit()
                if closed.is_set():
                    return

    threads = [threading.Thread(target=report, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    closed_months.close(LAST)
    claims.claim(LAST)
    closed.set()
    for thread in threads:
        thread.join()
    counted = select(UsageEvent.month, func.sum(UsageEvent.units)).group_by(UsageEvent.month)
    found = {month: int(units) for month, units in db.session.execute(counted)}
    billed = db.session.execute(select(func.coalesce(func.sum(MonthlyBillLine.units), 0))).scalar_one()
    db.session.commit()
    assert found.get(LAST.number, 0) == billed
    assert found.keys() <= {LAST.number, LAST.next.number}
    assert app.test_cli_runner().invoke(args=["usage", "check"]).exit_code == 0


MANY = 1000  # 20 s of two idle cores, most of it the sandbox's


@pytest.mark.long
@pytest.mark.timeout(300)
def test_very_many_customers_with_four_meters_each(here: World, app: Flask) -> None:
    many = range(1, MANY + 1)
    now = clock.now()
    rows = [{"id": n, "email": f"{n}@example.com", "name": "", "created_at": now} for n in many]
    db.session.execute(insert(User), rows)
    rows = [{"id": n, "user_id": n, "mode": "live", "created_at": now} for n in many]
    db.session.execute(insert(Customer), rows)
    rows = [
        {"customer_id": n, "identifier": str(meter), "meter_id": meter, "units": n, "nanos": 500_000_000}
        | {"occurred_at": LAST.start, "month": LAST.number}
        for n in many
        for meter in db.session.execute(select(Meter.id)).scalars()
    ]
    db.session.execute(insert(UsageEvent), rows)
    db.session.commit()
    answer = run(app, "--workers", "8")
    assert answer.exit_code == 0, answer.output
    names = db.session.execute(select(StripeCustomer.stripe_id, StripeCustomer.customer_id)).all()
    owners = {name.stripe_id: name.customer_id for name in names}
    db.session.commit()
    made = here.stripe().v1.invoices.list({"limit": 100}).auto_paging_iter()
    totals = {}
    for invoice in made:
        if invoice.customer in owners:
            assert owners[invoice.customer] not in totals, "billed twice"
            totals[owners[invoice.customer]] = invoice.total
    terms = [("0.10", 1), ("2.00", 1), ("0.15", 1), ("0.01", 1000)]
    prices = [Meter(unit_price=Decimal(unit), per=per) for unit, per in terms]
    assert totals == {n: sum(meters.cost(price, n, 500_000_000, "usd") for price in prices) for n in many}
