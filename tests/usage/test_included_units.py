"""Units that a plan includes each month: used first, counted without an agreement, refused beyond them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, update

from portal import clock, jobs
from portal.extensions import db
from portal.models import Customer, IncludedUnits, Meter, MonthlyBillLine, UsageDay, UsageEvent
from portal.usage import limits, preferences
from portal.usage.included import units
from portal.usage.monthly_run import corrections
from portal.usage.monthly_run.months import Month
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.clocked import mailed
from tests.support.included import by_key, hold, include
from tests.support.operators import ask, operator_key
from tests.support.usage import (
    LAST,
    Reporter,
    agree,
    bill_of,
    event,
    invoices,
    lines_of,
    record,
    reporter,
    run,
    summed,
)
from tests.support.world import World

THIS = Month.of(clock.now())


@pytest.fixture
def server(here: World, app: Flask, alice: Person) -> Reporter:
    """The server of Alice, who has bought Pro, which includes 1,000 API calls and 10 CPU hours a month."""
    include("pro", included={"api_calls": 1_000, "cpu_hour": 10})
    alice.browser.buy("pro-monthly")
    here.flush()
    return reporter(here, alice.email)


def included_of(server: Reporter) -> dict[str, Any]:
    """What the entitlements say that is included."""
    answer = requests.get(f"{server.here.base}/api/v1/entitlements", headers=server.headers, timeout=30)
    found: dict[str, Any] = answer.json()["included"]
    return found


def metered(server: Reporter, meter: str = "api_calls") -> dict[str, Any]:
    """What the API says of a meter in this month."""
    found: dict[str, Any] = next(one for one in server.month().json()["meters"] if one["meter"] == meter)
    return found


def test_included_units_are_taken_without_an_agreement_and_refused_beyond(server: Reporter, alice: Person) -> None:
    assert server.send(event("a", 999), event("b", "0.5")).json() == {"accepted": 2, "duplicates": 0}
    refused = server.send(event("c", "0.5"), event("d", "0.5"))
    assert (refused.status_code, refused.json()["code"], refused.json()["index"]) == (402, "included_used_up", 1)
    assert refused.json()["start_url"].endswith("/usage")
    assert summed_calls(server) == Decimal("999.5")
    assert server.send(event("a", 999), event("b", "0.5"), event("c", "0.5")).json()["accepted"] == 1
    resets_at = THIS.end.isoformat().replace("+00:00", "Z")
    expected = {"included": 1000, "used": 1000, "remaining": 0, "resets_at": resets_at}
    assert included_of(server)["api_calls"] == expected
    assert included_of(server)["cpu_hour"]["remaining"] == 10
    of_month = metered(server)
    assert (of_month["quantity"], of_month["included"], of_month["remaining"]) == ("1000", 1000, "0")
    assert of_month["amount"] == 0
    alice.browser.open("/usage")
    assert f"1,000 of 1,000 included, resets 1 {THIS.next.start:%B}" in alice.browser.text
    alice.browser.press("Start pay as you go", follow=False)


def summed_calls(server: Reporter) -> Decimal:
    return summed(UsageDay, server.customer_id).get("api_calls", Decimal(0))


def test_a_meter_that_is_not_included_needs_an_agreement(server: Reporter) -> None:
    refused = server.send(event("a", 1, "gpu_hour"))
    assert (refused.status_code, refused.json()["code"]) == (402, "no_agreement")
    assert server.send(event("b", 1), event("c", 1, "gpu_hour")).json()["index"] == 1


def test_with_an_agreement_the_bill_takes_them_off_first(here: World, app: Flask, alice: Person) -> None:
    customer_id = a_customer()
    hold(customer_id, {"api_calls": 1_000, "cpu_hour": 10}, LAST.start, LAST.end)
    record(customer_id, ("a", 251_000, "api_calls"), ("b", "7.5", "cpu_hour"), ("c", 1, "gpu_hour"))
    assert run(app).exit_code == 0
    (invoice,) = invoices(here, customer_id)
    assert (invoice.total, lines_of(invoice)) == (
        450,
        {
            "api_calls:included": (0, f"API calls: 1,000 of 1,000 included, 250,000 beyond, {LAST.words}"),
            "api_calls": (250, f"API calls: 250,000 at $0.01 per 1,000, {LAST.words}"),
            "cpu_hour:included": (0, f"CPU hour: 7.5 of 10 included, 0 beyond, {LAST.words}"),
            "gpu_hour": (200, f"GPU hour: 1 at $2.00, {LAST.words}"),
        },
    )
    lines = db.session.execute(select(MonthlyBillLine.included).order_by(MonthlyBillLine.id)).scalars().all()
    assert sorted(lines) == [0, 10, 1000]
    db.session.rollback()


def test_a_month_with_nothing_beyond_needs_no_invoice(here: World, app: Flask) -> None:
    customer_id = a_customer()
    hold(customer_id, {"api_calls": 1_000}, LAST.start, LAST.end)
    record(customer_id, ("a", 1_000, "api_calls"))
    assert run(app).exit_code == 0
    assert (bill_of(customer_id).state, bill_of(customer_id).amount, invoices(here, customer_id)) == (
        "nothing",
        0,
        [],
    )


def test_an_operator_s_report_takes_what_fits_and_lists_the_rest(here: World, server: Reporter) -> None:
    key = operator_key(here, "usage:report")
    stranger = a_customer("erin")

    def send(*quantities: int) -> dict[str, Any]:
        events = [
            event(f"e{index}", one, customer=str(server.customer_id)) for index, one in enumerate(quantities)
        ]
        events.append(event("s", 1, customer=str(stranger)))
        found: dict[str, Any] = ask(here, "POST", "/api/v1/usage", key, json={"events": events}).json()
        return found

    answer = send(600, 500, 400)
    assert answer["accepted"] == 2
    assert [(one["index"], one["customer"], one["code"]) for one in answer["refused"]] == [
        (1, str(server.customer_id), "included_used_up"),
        (3, str(stranger), "no_agreement"),
    ]
    assert summed_calls(server) == 1_000
    again = send(600, 500, 400)
    assert (again["accepted"], again["duplicates"], len(again["refused"])) == (0, 2, 2)


def test_voided_usage_can_be_used_again(here: World, server: Reporter) -> None:
    server.send(event("a", 600), event("b", 400))
    assert server.send(event("c", 1)).status_code == 402
    corrections.take_back(server.customer_id, "a", "Counted twice")
    assert server.send(event("c", 600)).status_code == 200
    assert included_of(server)["api_calls"]["used"] == 1_000


def test_late_usage_counts_in_the_month_that_bills_it(here: World, app: Flask, server: Reporter) -> None:
    at = (LAST.end - timedelta(hours=1)).isoformat()
    assert server.send(event("a", 1, timestamp=at)).json()["code"] == "no_agreement"  # no plan in that month
    assert run(app).exit_code == 0
    answer = server.send(event("a", 1, timestamp=at)).json()
    assert answer["late"] == {"events": 1, "billed_with": str(THIS)}
    assert included_of(server)["api_calls"]["used"] == 1


def test_what_was_used_without_an_agreement_stays_included(here: World, app: Flask, alice: Person) -> None:
    include("free", included={"api_calls": 100_000})
    server = reporter(here, alice.email)
    assert server.send(event("a", 90_000)).status_code == 200
    include("free", included={"api_calls": 10})
    assert by_key(units.of(server.customer_id, THIS)) == {"api_calls": 100_000}
    assert db.session.execute(select(IncludedUnits.units)).scalar_one() == 100_000
    db.session.rollback()
    assert server.send(event("b", 10_001)).status_code == 402
    assert server.send(event("c", 10_000)).status_code == 200


def test_a_spend_limit_counts_what_is_beyond(here: World, server: Reporter) -> None:
    agree(server.customer_id)
    preferences.set_limit(server.customer_id, 100, hard_stop=True)
    db.session.commit()
    assert server.send(event("a", 20, "cpu_hour")).status_code == 200
    assert limits.spent(THIS.number, server.customer_id) == {server.customer_id: 100}
    db.session.rollback()
    assert server.send(event("b", 1, "cpu_hour")).json()["code"] == "spend_limit_reached"


@pytest.mark.parametrize("pays", [True, False])
def test_an_email_tells_at_80_and_at_100_percent_once(server: Reporter, pays: bool) -> None:
    if pays:
        agree(server.customer_id)
    server.send(event("a", 799))
    jobs.tick()
    assert mailed("included_units") == []
    db.session.rollback()
    for number, quantity in enumerate((1, 200, 1)):
        assert server.send(event(f"b{number}", quantity)).status_code in (200, 402)
        jobs.tick()
        jobs.tick()
    told = [row.context for row in mailed("included_units")]
    assert [(one["percent"], one["used"], one["meter"], one["pays"]) for one in told] == [
        (80, "800", "API calls", pays),
        (100, "1,000", "API calls", pays),
    ]
    assert db.session.execute(select(func.count()).where(UsageDay.due)).scalar_one() == 0
    db.session.rollback()


def test_a_correction_gives_back_what_was_beyond_alone(here: World, app: Flask) -> None:
    dora = a_customer()
    hold(dora, {"cpu_hour": 10}, LAST.start, LAST.end)
    record(dora, ("a", 8, "cpu_hour"), ("b", 12, "cpu_hour"))
    assert run(app).exit_code == 0
    assert bill_of(dora).amount == 100
    for name, amount in (("b", 100), ("a", 0)):
        done = corrections.take_back(dora, name, "Counted twice")
        assert done.back is not None
        assert (name, done.back.amount) == (name, amount)


def test_a_withdrawn_meter_is_billed_beyond_what_it_included(here: World, app: Flask, server: Reporter) -> None:
    server.send(event("a", 5, "cpu_hour"))
    db.session.execute(update(Meter).where(Meter.key.in_(["cpu_hour", "api_calls"])).values(withdrawn=True))
    db.session.commit()
    assert server.send(event("b", 1, "cpu_hour")).status_code == 400
    db.session.execute(update(Customer).values(access_version=Customer.access_version + 1))
    db.session.commit()
    assert list(included_of(server)) == ["cpu_hour"]
    assert metered(server, "cpu_hour")["remaining"] == "5"


@pytest.mark.both_databases
def test_of_two_reports_at_once_only_what_is_included_is_taken(here: World, server: Reporter) -> None:
    days = [(clock.now() - timedelta(minutes=index)).isoformat() for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: server.send(event(f"e{n}", 300, timestamp=days[n])).status_code, range(8))
        )
    assert sorted(answers) == [200] * 3 + [402] * 5
    taken = select(func.count()).select_from(UsageEvent)
    assert db.session.execute(taken).scalar_one() == 3
    db.session.rollback()
