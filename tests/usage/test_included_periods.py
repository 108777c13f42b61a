"""Which units are included: those of the plan that was paid for the period."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update

from portal.customers import given_plans
from portal.extensions import db
from portal.models import Customer, PlanPeriod, Subscription
from portal.usage.included import units
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.included import by_key, hold, include
from tests.support.usage import LAST, Reporter, event
from tests.support.world import World
from tests.usage.test_included_units import THIS, included_of
from tests.usage.test_included_units import server as server


def test_a_running_period_keeps_its_numbers_and_the_next_has_the_new_ones(server: Reporter) -> None:
    include("pro", included={"api_calls": 5})
    assert server.send(event("a", 900)).status_code == 200
    assert included_of(server)["api_calls"]["included"] == 1_000
    row = db.session.execute(select(PlanPeriod)).scalar_one()
    assert row.included == {"api_calls": 1_000, "cpu_hour": 10}
    db.session.rollback()


def test_the_most_of_a_month_s_plans_counts_and_they_are_not_added_up(app: Flask) -> None:
    dora, half = a_customer(), THIS.start + timedelta(days=14)
    hold(dora, {"api_calls": 50, "cpu_hour": 7}, LAST.start, half)
    hold(dora, {"api_calls": 80}, half, THIS.next.end, subscription_id="sub_2")
    found = {month: by_key(units.of(dora, month)) for month in (LAST.previous, LAST, THIS, THIS.next)}
    assert found == {
        LAST.previous: {},
        LAST: {"api_calls": 50, "cpu_hour": 7},
        THIS: {"api_calls": 80, "cpu_hour": 7},
        THIS.next: {"api_calls": 80},
    }


def test_a_period_that_is_not_paid_includes_its_units_for_the_grace_period(
    here: World, app: Flask, bob: Person
) -> None:
    query = select(PlanPeriod).order_by(PlanPeriod.id.desc()).limit(1)
    period = db.session.execute(query).scalar_one()
    period.included, period.invoice_id = {"api_calls": 50}, None
    period.starts_at = period.from_at = THIS.end - timedelta(days=5)
    period.ends_at = THIS.end + timedelta(days=26)
    customer_id = period.customer_id
    for status, months in {"active": 2, "past_due": 2, "unpaid": 2}.items():
        db.session.execute(update(Subscription).values(status=status))
        db.session.commit()
        assert sum(bool(units.of(customer_id, month)) for month in (THIS, THIS.next)) == months
    period.starts_at = period.from_at = THIS.end - timedelta(days=8)
    db.session.commit()
    assert [bool(units.of(customer_id, month)) for month in (THIS, THIS.next)] == [True, False]
    db.session.get_one(Customer, customer_id).grace_until = THIS.end + timedelta(days=1)
    db.session.commit()
    assert units.of(customer_id, THIS.next)


def test_a_given_plan_and_the_free_plan_include_the_catalogue_s_numbers(here: World, app: Flask) -> None:
    include("pro", included={"api_calls": 100})
    dora = a_customer()
    customer = db.session.get_one(Customer, dora)
    given_plans.give(customer, "pro", None)
    db.session.commit()
    assert by_key(units.of(dora, THIS)) == {"api_calls": 100}
    given_plans.end(customer)
    db.session.commit()
    assert by_key(units.of(dora, THIS)) == {"api_calls": 100}  # the month in which it ended
    assert by_key(units.of(dora, THIS.next)) == {}
    include("free", included={"cpu_hour": 3})
    assert by_key(units.of(dora, THIS.next)) == {"cpu_hour": 3}
