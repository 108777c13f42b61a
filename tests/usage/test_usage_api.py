"""`POST /api/v1/usage`: exact, once for ever, all or nothing."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, select

from portal import clock
from portal.extensions import db
from portal.models import UsageAgreement, UsageDay, UsageEvent
from portal.usage.monthly_run import closed_months
from portal.usage.monthly_run.months import Month
from portal.web.pages import rfc3339
from tests.conftest import Person
from tests.support.looking import count
from tests.support.usage import Reporter, agree, event, reporter, summed, suspend
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def used(here: World, server: Reporter) -> dict[str, Decimal]:
    """Return the stored usage, after checking that the totals agree with the events."""
    with here.app.app_context():
        events = summed(UsageEvent, server.customer_id)
        assert summed(UsageDay, server.customer_id) == events
    return events


def moment(**ago: float) -> str:
    return str(rfc3339(clock.now() - timedelta(**ago)))


def test_events_are_counted_once_for_ever(here: World, server: Reporter) -> None:
    first = [event("a", 2), event("b", "0.000000001", "cpu_hour"), event("c", 0.1, "cpu_hour")]
    answer = server.send(*first)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 3, "duplicates": 0})
    again = server.send(*first, event("d", 0.2, "cpu_hour"), event("d", 0.2, "cpu_hour"))
    assert again.json() == {"accepted": 1, "duplicates": 4}
    assert used(here, server) == {"api_calls": 2, "cpu_hour": Decimal("0.300000001")}


def test_numbers_are_read_digit_by_digit(here: World, server: Reporter) -> None:
    quantity = "123456789012.123456789"
    body = '{"events": [{"meter": "api_calls", "identifier": "%s", "quantity": %s}]}'
    assert server.send_raw(body % (0, quantity), kind="text/plain").status_code == 415
    for number in range(3):
        assert server.send_raw(body % (number, quantity)).json()["accepted"] == 1
    assert used(here, server) == {"api_calls": 3 * Decimal(quantity)}


def test_two_customers_may_use_one_identifier(here: World, server: Reporter, charlie: Person) -> None:
    other = reporter(here, charlie.email)
    with here.app.app_context():
        agree(other.customer_id)
    for one in (server, other):
        assert one.send(event("same")).json() == {"accepted": 1, "duplicates": 0}


def test_a_thousand_events_of_all_meters_are_taken_at_once(here: World, server: Reporter) -> None:
    meters = ("cpu_hour", "gpu_hour", "storage_gb_month", "api_calls")
    events = [event(f"{n:04}", "0.25", meters[n % 4], timestamp=moment(hours=n % 100)) for n in range(1000)]
    assert server.send(*events).json() == {"accepted": 1000, "duplicates": 0}
    assert used(here, server) == dict.fromkeys(meters, Decimal("62.5"))
    assert count(here, UsageDay) <= 4 * 6 * 2  # days, and the months that they are billed with


def test_usage_of_a_closed_month_goes_on_the_next_bill_and_says_so(here: World, server: Reporter) -> None:
    now = clock.now()
    last = Month.of(now).previous
    with here.app.app_context():
        closed_months.close(last)
        closed_months.close(last)  # again is no harm
    when = str(rfc3339(last.end - timedelta(seconds=1)))
    answer = server.send(event("late", timestamp=when), event("timely"))
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 0,
        "late": {"events": 1, "billed_with": str(Month.of(now))},
    }
    with here.app.app_context():
        found = {row.identifier: row.month for row in db.session.execute(select(UsageEvent)).scalars()}
        days = {row.day.isoformat()[:7]: row.month for row in db.session.execute(select(UsageDay)).scalars()}
    assert found == {"late": Month.of(now).number, "timely": Month.of(now).number}
    assert days == {str(last): Month.of(now).number, str(Month.of(now)): Month.of(now).number}


BAD: dict[str, tuple[list[Any], str]] = {
    "an unknown meter": ([event("a"), event("b", meter="coffee")], "1.meter"),
    "below zero": ([event("a"), event("b", -1)], "1.quantity"),
    "below zero, as a text": ([event("a", "-0.1")], "0.quantity"),
    "not a number": ([event("a", "NaN")], "0.quantity"),
    "infinite": ([event("a", "Infinity")], "0.quantity"),
    "a word": ([event("a", "much")], "0.quantity"),
    "true": ([event("a", True)], "0.quantity"),
    "nothing": ([event("a", None)], "0.quantity"),
    "10^30": ([event("a", 10**30)], "0.quantity"),
    "10^30, as a text": ([event("a", "1e30")], "0.quantity"),
    "too many decimals": ([event("a", "0.0000000001")], "0.quantity"),
    "no identifier": ([event("a"), {"meter": "api_calls", "quantity": 1}], "1.identifier"),
    "an empty identifier": ([event("")], "0.identifier"),
    "a long identifier": ([event("x" * 101)], "0.identifier"),
    "a control character": ([event("a\x00")], "0.identifier"),
    "an unknown field": ([event("a", colour="red")], "0.colour"),
    "no object": ([event("a"), "b"], "1"),
    "the future": ([event("a", timestamp=moment(hours=-1))], "0.timestamp"),
    "a closed period": ([event("a"), event("b"), event("c", timestamp=moment(days=36))], "2.timestamp"),
    "a time without a zone": ([event("a", timestamp="2026-11-21T12:00:00")], "0.timestamp"),
    "a time as a number": ([event("a", timestamp=1_764_000_000)], "0.timestamp"),
    "no time": ([event("a", timestamp="yesterday")], "0.timestamp"),
    "the first of two that are bad": ([event("a", meter="coffee"), event("b", -1)], "0.meter"),
    "too many": ([event(str(n)) for n in range(1001)], "1000"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_whole(here: World, server: Reporter, case: str) -> None:
    events, place = BAD[case]
    answer = server.send(*events)
    problem = answer.json()
    assert answer.status_code == 400, problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["index"] == int(place.split(".")[0])
    assert problem["errors"]
    if "." in place:
        assert list(problem["errors"]) == [f"events.{place}"]
    assert count(here, UsageEvent) == count(here, UsageDay) == 0


def test_nan_and_infinity_without_quotes_are_bad_quantities(here: World, server: Reporter) -> None:
    for word in ("NaN", "-Infinity", "1e400"):
        body = json.dumps({"events": [event("a", "?")]}).replace('"?"', word)
        assert server.send_raw(body).json()["index"] == 0
    for body in ("", "[]", "{", '{"events": []}', '{"events": {}}', "{}"):
        assert server.send_raw(body).status_code == 400


def test_one_identifier_for_two_things_in_a_batch_is_a_conflict(here: World, server: Reporter) -> None:
    for other in (event("a", 2), event("a", 1, "cpu_hour")):
        answer = server.send(event("b"), event("a", 1), other)
        assert (answer.status_code, answer.json()["index"]) == (409, 2)
    assert count(here, UsageEvent) == 0


def test_only_a_good_key_of_a_customer_who_is_not_suspended_may_report(here: World, server: Reporter) -> None:
    stranger = Reporter(here, server.customer_id, server.key[:-1] + "x")
    assert stranger.send(event("a")).status_code == 401
    with here.app.app_context():
        suspend(server.customer_id)
    answer = server.send(event("a"))
    assert (answer.status_code, answer.json()["code"]) == (402, "suspended")
    assert count(here, UsageEvent) == 0


def test_a_day_of_a_meter_has_an_end(here: World, server: Reporter) -> None:
    for number in range(10):
        assert server.send(*(event(f"{number}-{n}", 10**15) for n in range(10))).status_code == 200
    answer = server.send(event("one more", 1))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert used(here, server) == {"api_calls": 10**17}


def test_usage_without_an_agreement_is_refused_with_where_to_start(here: World, charlie: Person) -> None:
    stranger = reporter(here, charlie.email)
    answer = stranger.send(event("a", 10**9))
    assert (answer.status_code, answer.json()["code"]) == (402, "no_agreement")
    assert answer.json()["start_url"].endswith("/usage")
    assert count(here, UsageEvent) == 0


def test_an_agreement_covers_from_an_hour_before_it_began_until_it_ended(here: World, charlie: Person) -> None:
    server = reporter(here, charlie.email)
    with here.app.app_context():
        agree(server.customer_id, days=10, ended=clock.now() - timedelta(days=2))
    late = event("late", timestamp=moment(days=5))
    assert server.send(late, event("early", timestamp=moment(days=10, minutes=50))).json()["accepted"] == 2
    for index, ago in enumerate(({"days": 10, "minutes": 70}, {"days": 1})):
        answer = server.send(late, event(f"no-{index}", timestamp=moment(**ago)))
        assert (answer.status_code, answer.json()["index"]) == (402, 1)
    with here.app.app_context():  # what was accepted is answered as before
        db.session.execute(delete(UsageAgreement))
        db.session.commit()
    assert server.send(late).json() == {"accepted": 0, "duplicates": 1}
