"""`/usage`, the spend limit, and `GET /api/v1/usage`."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Customer, Meter, OutboxMail, UsageEvent, UsageSettings
from portal.usage import limits
from portal.usage.month_usage import Forecast
from portal.usage.monthly_run.months import Month
from tests.conftest import Person
from tests.support.looking import count, counted, one
from tests.support.usage import LAST, Reporter, event, record
from tests.support.world import World


def limit_mails(app: Flask) -> list[tuple[int, bool]]:
    """The steps that were mailed, and whether the limit stops usage."""
    found = db.session.execute(
        select(OutboxMail).filter_by(template="spend_limit").order_by(OutboxMail.id)
    ).scalars()
    steps = [(mail.context["percent"], mail.context["hard_stop"]) for mail in found]
    db.session.commit()
    return steps


def test_no_forecast_is_shown_where_nothing_was_used(here: World, alice: Person, server: Reporter) -> None:
    alice.browser.open("/usage")
    assert "Nothing was used yet." in alice.browser.text
    assert "Forecast:" not in alice.browser.text
    server.send(event("a", "12.5", "cpu_hour"))
    alice.browser.open("/usage")
    assert "Nothing was used yet." not in alice.browser.text
    assert "Forecast: $" in alice.browser.text


def test_the_page_shows_this_month_by_meter_and_day_with_its_forecast(
    here: World, alice: Person, server: Reporter
) -> None:
    server.send(event("a", "12.5", "cpu_hour"), event("b", 1500))
    alice.browser.open("/usage")
    text, today = alice.browser.text, clock.now()
    month = Month.of(today)
    amount = 125 + 2
    forecast = Forecast(amount, today.day, month.days)
    assert f"{month.words} so far $1.27" in text
    assert f"Forecast: ${forecast.amount / 100:.2f}" in text
    assert "CPU hour $0.10 12.5 $1.25" in text
    assert "API calls $0.01 per 1,000 1,500 $0.02" in text
    assert "CPU hour by day" in text
    assert "GPU hour by day" not in text
    assert alice.browser.page.text.count('<rect class="bar"') == 2 * today.day


def test_a_forecast_goes_on_at_the_pace_so_far() -> None:
    assert Forecast(1240, 10, 30).amount == 3720
    assert Forecast(0, 1, 31).amount == 0
    assert Forecast(1, 2, 31).amount == 16  # 15.5, half up
    assert Forecast(999, 31, 31).amount == 999


def test_a_month_is_read_by_api(here: World, app: Flask, server: Reporter) -> None:
    record(server.customer_id, ("a", "2.50", "gpu_hour"))
    found = server.month(str(LAST)).json()
    assert (found["month"], found["currency"], found["amount"], found["limit"]) == (str(LAST), "usd", 500, None)
    meters = {one["meter"]: one for one in found["meters"]}
    assert list(meters) == ["cpu_hour", "gpu_hour", "storage_gb_month", "api_calls"]
    gpu = {
        "quantity": "2.5",
        "amount": 500,
        "unit_price": "2.00",
        "per": 1,
        "name": "GPU hour",
        "meter": "gpu_hour",
        "included": 0,
        "remaining": "0",
    }
    assert meters["gpu_hour"] == gpu
    assert (meters["api_calls"]["quantity"], meters["api_calls"]["per"]) == ("0", 1000)
    assert server.month().json()["month"] == str(Month.of(clock.now()))
    for bad in ("2026-13", "november", "2026-1", "0000-01"):
        answer = server.month(bad)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["month"])


def test_a_key_without_the_scope_neither_reports_nor_reads(here: World, app: Flask, server: Reporter) -> None:
    customer = db.session.get_one(Customer, server.customer_id)
    key, secret = api_keys.mint(customer, "Reader")
    key.scopes = ["read"]
    db.session.commit()
    reader = Reporter(here, server.customer_id, secret)
    for answer in (reader.send(event("a")), reader.month()):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert count(here, UsageEvent) == 0


def test_a_limit_that_warns_mails_each_step_once_and_stops_nothing(
    here: World, app: Flask, alice: Person, server: Reporter
) -> None:
    alice.browser.open("/usage")
    alice.browser.press("Save limit", amount="$10")
    assert "usage does not stop" in alice.browser.text
    seen = []
    for number, hours in enumerate((49, 1, 24, 1, 100)):  # 4.90, 5.00, 7.40, 7.50, 17.50
        assert server.send(event(str(number), hours, "cpu_hour")).status_code == 200
        limits.run()
        limits.run()
        seen.append([step for step, _ in limit_mails(app)])
    assert seen == [[], [50], [50], [50, 75], [50, 75, 100]]
    assert limit_mails(app)[0] == (50, False)
    alice.browser.open("/usage")
    alice.browser.press("Save limit", amount="")
    assert "There is no spend limit now." in alice.browser.text
    assert server.month().json()["limit"] is None


def test_a_limit_is_checked_again_only_after_a_report(
    here: World, app: Flask, alice: Person, server: Reporter
) -> None:
    due = select(UsageSettings.limit_due)
    alice.browser.open("/usage")
    alice.browser.press("Save limit", amount="$10")
    assert one(here, due), "the month's usage may have passed a new limit already"
    limits.run()
    assert not one(here, due)
    assert server.send(event("a", 50, "cpu_hour")).status_code == 200
    assert one(here, due)
    assert limits.run() == 1
    assert limits.run() == 0
    assert not one(here, due)


def test_a_limit_that_stops_lets_no_bill_pass_it(here: World, app: Flask, alice: Person, server: Reporter) -> None:
    alice.browser.open("/usage")
    alice.browser.press("Save limit", amount="$10.00", hard_stop="y")
    assert "usage stops" in alice.browser.text
    assert server.month().json()["limit"] == {"amount": 1000, "stops_usage": True}
    assert server.send(event("a", 90, "cpu_hour")).status_code == 200
    answer = server.send(event("b", 1, "cpu_hour"), event("c", 10, "cpu_hour"))
    assert (answer.status_code, answer.json()["code"]) == (402, "spend_limit_reached")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert server.send(event("d", 10, "cpu_hour")).status_code == 200  # exactly the limit
    assert server.send(event("a", 90, "cpu_hour")).json() == {"accepted": 0, "duplicates": 1}
    assert server.send(event("e", "0.05", "cpu_hour")).status_code == 402  # half a cent is one
    assert server.month().json()["amount"] == 1000
    assert count(here, UsageEvent) == 2
    assert limit_mails(app) == [(100, True)]
    alice.browser.open("/usage")
    alice.browser.press("Save limit", amount="$20.00", hard_stop="y")
    assert server.send(event("e", "0.05", "cpu_hour")).status_code == 200


@pytest.mark.parametrize("amount", ["much", "-1", "10.001", "9" * 400, "1e3"])
def test_a_limit_that_is_no_amount_is_refused_by_its_field(here: World, alice: Person, amount: str) -> None:
    alice.browser.open("/usage")
    assert alice.browser.press("Save limit", amount=amount).status_code == 400
    assert "This is not an amount such as $250.00." in alice.browser.text


def test_the_csv_has_a_line_for_each_day_and_meter_of_any_range(
    here: World, app: Flask, alice: Person, server: Reporter
) -> None:
    first = LAST.start + timedelta(days=3)
    record(server.customer_id, ("a", "1.5", "cpu_hour"), ("b", 7, "api_calls"), at=first)
    record(server.customer_id, ("c", 2, "cpu_hour"), at=first + timedelta(days=5))
    meter = db.session.execute(select(Meter).filter_by(key="cpu_hour")).scalar_one()
    meter.name = "=cmd()"
    db.session.commit()
    alice.browser.open(f"/usage.csv?since={first:%Y-%m-%d}&until={first + timedelta(days=4):%Y-%m-%d}")
    assert alice.browser.page.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(alice.browser.page.text)))
    day = f"{first:%Y-%m-%d}"
    assert rows == [
        ["Day (UTC)", "Meter", "Name", "Quantity", "Billed with"],
        [day, "cpu_hour", "'=cmd()", "1.5", str(LAST)],
        [day, "api_calls", "API calls", "7", str(LAST)],
    ]
    for bad in ("", "?since=2026-02-02&until=2026-02-01", "?since=x&until=y"):
        assert alice.browser.open(f"/usage.csv{bad}").status_code == 400


def test_the_page_asks_no_more_when_there_is_more_to_show(here: World, app: Flask, alice: Person) -> None:
    def asked() -> int:
        with counted(here) as statements:
            assert alice.browser.open("/usage").status_code == 200
        return len(statements)

    with here.app.app_context():
        from portal.customers import stripe_customers

        customer_id = stripe_customers.of(alice.user).id
        db.session.commit()
    before = asked()
    now = datetime.now(UTC)
    for number in range(40):
        record(customer_id, (str(number), 1, "cpu_hour"), at=now - timedelta(minutes=number))
    assert asked() == before <= 7


def test_a_visitor_is_led_to_sign_in(here: World) -> None:
    for path in ("/usage", "/usage.csv", "/usage/started"):
        assert "/login" in requests.get(here.base + path, allow_redirects=False, timeout=30).headers["Location"]


def test_usage_that_was_taken_is_answered_as_before_under_a_lower_limit(
    here: World, alice: Person, server: Reporter
) -> None:
    taken = [event("a", 90, "cpu_hour"), event("b", 5, "cpu_hour")]
    assert server.send(*taken).json() == {"accepted": 2, "duplicates": 0}
    alice.browser.open("/usage")
    alice.browser.press("Save limit", amount="$1.00", hard_stop="y")
    assert server.send(*taken).json() == {"accepted": 0, "duplicates": 2}
    assert server.send(*taken, event("c", 1, "cpu_hour")).status_code == 402
