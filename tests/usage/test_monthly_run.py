"""`flask bill-month`: everyone once, exactly, whatever happens on the way."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal import clock, quantities
from portal.catalogue import meters
from portal.extensions import db
from portal.models import Customer, Meter, MonthlyBill, StripeCustomer
from portal.usage.events import reports, usage_events
from portal.usage.events.reports import Event
from portal.usage.monthly_run import claims
from portal.usage.monthly_run.months import Month
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.looking import count, one
from tests.support.usage import LAST, becomes, bill_of, invoices, lines_of, record, run, start
from tests.support.world import World

METERS = ("cpu_hour", "gpu_hour", "storage_gb_month", "api_calls")


def test_a_month_becomes_one_invoice_that_is_paid(here: World, app: Flask, alice: Person) -> None:
    start(alice.browser)
    here.flush()
    stripe = here.stripe().v1
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    stripe.invoice_items.create({"customer": stripe_id, "amount": 777, "currency": "usd"})  # pending, not ours
    customer_id = one(here, select(Customer.id))
    record(customer_id, ("a", "12.5", "cpu_hour"), ("b", 1234567, "api_calls"), ("c", "0.0001", "gpu_hour"))
    answer = run(app, str(LAST))
    assert answer.exit_code == 0, answer.output
    assert f"{LAST.words}: 1 bills, $13.60." in answer.output
    (invoice,) = [
        found for found in invoices(here, customer_id) if found.metadata.to_dict().get("kind") == "usage"
    ]
    assert (invoice.total, invoice.metadata["month"]) == (125 + 1235 + 0, str(LAST))
    assert lines_of(invoice) == {
        "cpu_hour": (125, f"CPU hour: 12.5 at $0.10, {LAST.words}"),
        "gpu_hour": (0, f"GPU hour: 0.0001 at $2.00, {LAST.words}"),
        "api_calls": (1235, f"API calls: 1,234,567 at $0.01 per 1,000, {LAST.words}"),
    }
    period = invoice.lines.data[0].period
    assert (period.start, period.end) == (int(LAST.start.timestamp()), int(LAST.end.timestamp()))
    becomes(here, customer_id, "paid")
    assert stripe.invoices.retrieve(invoice.id).status == "paid"
    again = run(app, str(LAST))
    assert again.exit_code == 0
    assert len(invoices(here, customer_id)) == 2  # the subscription's own first one, of nothing, and ours
    alice.browser.open("/usage")
    assert LAST.words in alice.browser.text
    assert "Paid" in alice.browser.text
    assert len(stripe.invoice_items.list({"customer": stripe_id, "pending": True}).data) == 1


def test_a_dry_run_shows_it_and_writes_nothing(here: World, app: Flask) -> None:
    customer_id = a_customer()
    record(customer_id, ("a", 20, "cpu_hour"))
    answer = run(app, "--dry-run")
    assert answer.exit_code == 0
    assert "$2.00" in answer.output
    assert count(here, MonthlyBill) == 0
    assert invoices(here, customer_id) == []


@pytest.mark.parametrize(
    "words", [["2026-13"], ["soon"], [str(Month.of(clock.now()))], ["9999-12"], ["--workers", "0"]]
)
def test_a_month_that_is_none_or_not_over_is_refused(here: World, app: Flask, words: list[str]) -> None:
    assert run(app, *words).exit_code != 0
    assert count(here, MonthlyBill) == 0


# Golden months: what was used, when, and what stands on the bill.
GOLDEN: dict[str, tuple[str, list[tuple[str, str, str]], dict[str, int] | None]] = {
    "31 days": (
        "2026-10",
        [("2026-10-01T00:00:00Z", "1", "cpu_hour"), ("2026-10-31T23:59:59.999999Z", "1", "cpu_hour")],
        {"cpu_hour": 20},
    ),
    "February of a leap year": (
        "2028-02",
        [("2028-02-29T23:59:59Z", "3", "gpu_hour"), ("2028-03-01T00:00:00Z", "5", "gpu_hour")],
        {"gpu_hour": 600},
    ),
    "joined on the 30th": (
        "2026-11",
        [("2026-11-30T22:00:00Z", "0.5", "storage_gb_month")],
        {"storage_gb_month": 8},
    ),
    "the night when clocks go back in Berlin": (
        "2026-10",
        [("2026-10-25T02:30:00+02:00", "1", "cpu_hour"), ("2026-10-25T02:30:00+01:00", "1", "cpu_hour")],
        {"cpu_hour": 20},
    ),
    "a month's end in another zone": (
        "2026-10",
        [("2026-11-01T00:30:00+02:00", "1", "cpu_hour"), ("2026-10-31T23:30:00-02:00", "9", "cpu_hour")],
        {"cpu_hour": 10},
    ),
    "zero usage": ("2026-10", [], None),
    "a quantity of zero": ("2026-10", [("2026-10-05T00:00:00Z", "0", "cpu_hour")], {"cpu_hour": 0}),
    "10^12 API calls": ("2026-10", [("2026-10-05T00:00:00Z", str(10**12), "api_calls")], {"api_calls": 10**9}),
    "just under half a cent": ("2026-10", [("2026-10-05T00:00:00Z", "0.049999999", "cpu_hour")], {"cpu_hour": 0}),
    "half a cent": ("2026-10", [("2026-10-05T00:00:00Z", "0.05", "cpu_hour")], {"cpu_hour": 1}),
    "a fraction of a cent in each line": (
        "2026-10",
        [("2026-10-05T00:00:00Z", "0.054", "cpu_hour"), ("2026-10-06T00:00:00Z", "540", "api_calls")],
        {"cpu_hour": 1, "api_calls": 1},
    ),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_months(here: World, app: Flask, case: str) -> None:
    written, events, expected = GOLDEN[case]
    month, customer_id = Month.read(written), a_customer()
    for number, (when, quantity, meter) in enumerate(events):
        record(customer_id, (str(number), quantity, meter), at=datetime.fromisoformat(when))
    found = {draft.customer_id: draft for draft in claims.drafts(month)}
    if expected is None:
        assert found == {}
        return
    assert {line.meter.key: line.amount for line in found[customer_id].lines} == expected
    claims.claim(month)
    assert bill_of(customer_id).state == ("claimed" if sum(expected.values()) else "nothing")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.decimals(0, 10**6, places=9), min_size=1, max_size=30),
    st.sampled_from([("0.10", 1), ("0.01", 1000), ("0.0000003", 7)]),
)
def test_a_line_is_the_same_however_its_usage_is_split(used: list[Decimal], price: tuple[str, int]) -> None:
    """Into events, batches or days: the sum is exact, and the one rounding comes last."""
    unit_price, per = Decimal(price[0]), price[1]
    meter = Meter(unit_price=unit_price, per=per)
    units, nanos = (sum(values) for values in zip(*map(quantities.split, used), strict=True))
    whole = quantities.split(sum(used))
    assert quantities.joined(units, nanos) == sum(used)
    amount = meters.cost(meter, units, nanos, "usd")
    assert amount == meters.cost(meter, *whole, "usd")
    exact = Fraction(sum(used)) * Fraction(unit_price) / per * 100
    assert amount - Fraction(1, 2) <= exact < amount + Fraction(1, 2)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    quantities=st.lists(st.decimals(0, 1000, places=6), min_size=2, max_size=12), cuts=st.sets(st.integers(1, 11))
)
def test_the_bill_is_the_same_over_any_split_into_batches(
    app: Flask, quantities: list[Decimal], cuts: set[int]
) -> None:
    events = [(f"{number}", quantity, METERS[number % 4]) for number, quantity in enumerate(quantities)]
    ends = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    amounts = set()
    for name, slices in {"at once": [(0, len(events))], "split": list(pairwise(ends))}.items():
        customer_id = a_customer(f"{name.replace(' ', '-')}-{clock.now():%H%M%S%f}")
        for first, last in slices:
            record(customer_id, *events[first:last])
            record(customer_id, *events[first:last])  # sent twice, counted once
        drafts = {draft.customer_id: draft for draft in claims.drafts(LAST)}
        amounts.add(tuple(line.amount for line in drafts[customer_id].lines))
    assert len(amounts) == 1


def test_late_usage_is_billed_with_the_next_run(here: World, app: Flask) -> None:
    customer_id = a_customer()
    before = LAST.previous
    record(customer_id, ("a", 10, "cpu_hour"), at=before.end - timedelta(days=2))
    assert run(app, str(before)).exit_code == 0
    record(customer_id, ("b", 10, "cpu_hour"))
    moment = before.end - timedelta(days=1)
    late = [Event(meter="cpu_hour", quantity=Decimal(5), identifier="late", timestamp=moment.isoformat())]
    usage_events.record(customer_id, reports.read(late, moment + timedelta(days=3)))
    db.session.commit()
    assert run(app, str(before)).exit_code == 0  # again: that bill stays as it is
    assert run(app, str(LAST)).exit_code == 0
    query = select(MonthlyBill.month, MonthlyBill.amount).filter_by(customer_id=customer_id)
    assert sorted(map(tuple, db.session.execute(query))) == [(before.number, 100), (LAST.number, 150)]
    db.session.rollback()
    assert app.test_cli_runner().invoke(args=["usage", "check"]).exit_code == 0


def test_one_customer_s_failure_keeps_nobody_from_being_billed(here: World, app: Flask) -> None:
    customers = [a_customer(f"c{number}") for number in range(4)]
    for customer_id in customers:
        record(customer_id, ("a", 10, "cpu_hour"))
    here.fail(next=2, status=400, path="/v1/invoiceitems")
    answer = run(app, "--workers", "2")
    assert answer.exit_code == 1
    assert "StripeRefused" in answer.output
    states = sorted(bill_of(customer_id).state for customer_id in customers)
    assert states.count("failed") in (1, 2)
    assert states.count("invoiced") == 4 - states.count("failed")
    here.calm()
    assert run(app).exit_code == 0
    for customer_id in customers:
        (invoice,) = invoices(here, customer_id)
        assert (invoice.status, invoice.total, len(invoice.lines.data)) == ("open", 100, 1)
        assert bill_of(customer_id).error is None
