"""MRR and its movements, of subscriptions at the sandbox and of months made by hand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from portal import clock
from portal.enums import Mode
from portal.extensions import db
from portal.figures import movements
from portal.importer import adopt
from portal.models import DailyFigure, MrrMovement, Subscription
from portal.reconcile import figures as books
from tests.billing.situations import catalogue, change, coupon, item_of, price
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.clocked import Clocked, on_a_clock
from tests.support.world import World

LONG = timedelta(minutes=11)


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    return on_a_clock(here, alice.user)


def book() -> int:
    """Let ten minutes pass over every row, and book."""
    db.session.execute(update(Subscription).values(mrr_since=clock.now() - LONG))
    db.session.commit()
    return movements.run()


def booked() -> list[tuple[str, int, str | None, str | None]]:
    rows = db.session.execute(select(MrrMovement).order_by(MrrMovement.id)).scalars().all()
    db.session.commit()
    return [(one.kind, one.amount, one.previous_tier, one.tier) for one in rows]


def mrr() -> list[int]:
    found = db.session.execute(select(Subscription.mrr).order_by(Subscription.id)).scalars().all()
    db.session.commit()
    return list(found)


def a_row(customer_id: int, name: str = "sub_1", **values: Any) -> Subscription:
    """A subscription as a sync would have left it a while ago. Commits."""
    then = clock.now() - LONG
    row = Subscription(
        customer_id=customer_id, mode="live", stripe_id=name, stripe_customer="cus_1", status="active", amount=0,
        price_id="price_1", tier="pro", currency="usd", interval="month", mrr_since=then, started_at=then,
        synced_at=then,
    )  # fmt: skip
    for key, value in values.items():
        setattr(row, key, value)
    db.session.add(row)
    db.session.commit()
    return row


def set_mrr(row: Subscription, amount: int, **values: Any) -> None:
    values = {"mrr": amount, "mrr_since": clock.now() - LONG} | values
    db.session.execute(update(Subscription).filter_by(id=row.id).values(**values))
    db.session.commit()


def test_a_year_and_seats_are_normalized_to_a_month(carol: Clocked) -> None:
    every_third = price(carol, unit_amount=1000, recurring={"interval": "month", "interval_count": 3})
    items = [{"price": catalogue(carol, "pro_monthly"), "quantity": 2}, {"price": every_third}]
    carol.subscribe(items=items)
    assert mrr() == [2 * 4999 + 333]
    yearly = carol.stripe.prices.retrieve(catalogue(carol, "pro_yearly")).unit_amount
    carol.subscribe("pro_yearly")
    assert mrr()[1:] == [(2 * yearly + 12) // 24]


def test_discounts_that_last_count_and_those_of_once_do_not(carol: Clocked) -> None:
    carol.subscribe(discounts=coupon(carol, percent_off=20))
    carol.subscribe(discounts=coupon(carol, amount_off=1000, currency="usd", duration="once"))
    year = {"duration": "repeating", "duration_in_months": 12}
    both = coupon(carol, amount_off=1000, currency="usd", **year) + coupon(carol, percent_off=10)
    carol.subscribe(discounts=both)
    ends = carol.subscribe(discounts=coupon(carol, percent_off=50, duration="repeating", duration_in_months=2))
    assert mrr() == [3999, 4999, 3599, 2500]
    for _ in range(2):
        carol.advance(days=35)
    assert mrr()[3] == 4999, ends


def test_trials_are_out_past_due_is_in_and_the_end_is_churn(carol: Clocked) -> None:
    made = carol.subscribe(trial_period_days=14)
    assert mrr() == [0]
    assert book() == 0
    carol.use_card("pm_card_visa")
    carol.advance(days=15)
    assert (mrr(), book(), booked()) == ([4999], 1, [("new", 4999, None, "pro")])
    carol.use_card("pm_card_chargeCustomerFail")
    carol.advance(days=31)
    row = db.session.execute(select(Subscription)).scalar_one()
    assert (row.status, row.mrr, book()) == ("past_due", 4999, 0)
    carol.stripe.subscriptions.cancel(made)
    carol.settle()
    assert (mrr(), book(), booked()[1:]) == ([0], 1, [("churn", -4999, "pro", None)])
    assert not list(books.differences(Mode.TEST))


def test_changes_of_plan_and_seats_are_expansion_and_contraction(carol: Clocked) -> None:
    made = carol.subscribe("starter_monthly")
    book()
    item = item_of(carol, made)
    change(carol, made, items=[{"id": item, "price": catalogue(carol, "pro_monthly")}])
    book()
    change(carol, made, items=[{"id": item, "quantity": 3}])
    book()
    change(carol, made, items=[{"id": item, "price": catalogue(carol, "starter_monthly"), "quantity": 1}])
    book()
    assert booked() == [
        ("new", 1999, None, "starter"),
        ("expansion", 3000, "starter", "pro"),
        ("expansion", 9998, "pro", "pro"),
        ("contraction", 1999 - 3 * 4999, "pro", "starter"),
    ]
    plans = select(DailyFigure.name, DailyFigure.amount).where(DailyFigure.name.startswith("plans."))
    counted = {row.name: row.amount for row in db.session.execute(plans)}
    assert counted == {"plans.free>starter": 1, "plans.starter>pro": 1, "plans.pro>starter": 1}


def test_usage_alone_brings_no_mrr(carol: Clocked) -> None:
    meter = carol.stripe.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    ).id
    metered = {"interval": "month", "usage_type": "metered", "meter": meter}
    usage = price(carol, unit_amount=100, recurring=metered)
    carol.subscribe(items=[{"price": catalogue(carol, "pro_monthly")}, {"price": usage}])
    assert mrr() == [4999]


def test_what_an_import_finds_is_an_opening(carol: Clocked) -> None:
    carol.stripe.subscriptions.create(
        {"customer": carol.stripe_customer, "items": [{"price": catalogue(carol, "pro_monthly")}]}
    )
    assert mrr() == []
    assert list(adopt.plans(Mode.TEST)) == [True]
    carol.settle()
    assert (book(), booked()) == (1, [("opening", 4999, None, "pro")])
    assert list(adopt.plans(Mode.TEST)) == [True]
    assert book() == 0
    counted = select(func.count()).select_from(DailyFigure).where(DailyFigure.name.startswith("plans."))
    assert db.session.execute(counted).scalar_one() == 0


@pytest.mark.both_databases
def test_a_row_that_changed_within_ten_minutes_waits(app: Flask) -> None:
    row = a_row(a_customer(), mrr=4999, mrr_since=clock.now() - timedelta(minutes=9))
    assert movements.run() == 0
    set_mrr(row, 4999)
    assert [movements.run(), movements.run()] == [1, 0]


@pytest.mark.both_databases
def test_movements_are_never_changed(app: Flask) -> None:
    a_row(a_customer(), mrr=4999)
    movements.run()
    for statement in ("UPDATE mrr_movements SET amount = 1", "DELETE FROM mrr_movements"):
        with pytest.raises(Exception, match="append-only"):
            db.session.execute(text(statement))
        db.session.rollback()


@pytest.mark.both_databases
def test_who_left_and_comes_back_is_reactivated(app: Flask) -> None:
    mine = a_customer()
    first = a_row(mine, mrr=4999)
    second = a_row(mine, "sub_2", mrr=1999, tier="starter")
    movements.run()
    set_mrr(second, 0, status="canceled", ended_at=clock.now())
    movements.run()
    a_row(mine, "sub_3", mrr=1999, tier="starter")  # beside the first, which goes on
    movements.run()
    for row in db.session.execute(select(Subscription)).scalars().all():
        set_mrr(row, 0)
    movements.run()
    set_mrr(first, 4999)
    movements.run()
    kinds = [kind for kind, *_ in booked()]
    assert kinds == ["new", "new", "churn", "new", "churn", "churn", "reactivation"]


@pytest.mark.both_databases
def test_reconcile_finds_what_does_not_add_up(app: Flask) -> None:
    a_row(a_customer(), mrr=4999)
    movements.run()
    assert not list(books.differences(Mode.LIVE))
    db.session.execute(update(Subscription).values(mrr_booked=4000))
    db.session.execute(update(DailyFigure).where(DailyFigure.name == "mrr.new").values(amount=1))
    wrong, day = list(books.differences(Mode.LIVE))
    assert (wrong.about, wrong.expected) == ("sub_1", "sum of movements 4999")
    assert (day.expected, day.found) == ("sum of movements 4999", "1")
    db.session.rollback()


@pytest.mark.parametrize(
    ("effective", "booked_at", "day"),
    [
        ("2026-10-31T23:55", "2026-11-01T00:05", "2026-10-31"),  # October is still open
        ("2026-10-31T23:55", "2026-11-01T23:59", "2026-10-31"),
        ("2026-10-31T23:55", "2026-11-02T00:00", "2026-11-02"),  # a late webhook: October is closed
        ("2026-11-03T10:00", "2026-11-20T10:00", "2026-11-03"),
        ("2025-12-31T10:00", "2026-01-01T10:00", "2025-12-31"),
        ("2025-11-30T10:00", "2026-11-20T10:00", "2026-11-20"),
    ],
)
def test_a_closed_month_never_changes(effective: str, booked_at: str, day: str) -> None:
    at = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (effective, booked_at)]
    assert movements.counts_on(*at) == date.fromisoformat(day)


def test_any_history_adds_up(app: Flask) -> None:
    """Each step sets a subscription's MRR; the sums are held against what the history itself says."""
    owners = [a_customer("dora"), a_customer("emil")]
    made = iter(range(1_000_000))
    steps = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 1999, 4999, 9998])), max_size=12)

    @settings(deadline=None, max_examples=40)
    @given(steps=steps)
    def check(steps: list[tuple[int, int]]) -> None:
        before = totals()
        number = next(made)
        rows = [
            a_row(owners[one % 2], f"sub_{number}_{one}", currency=("usd", "eur")[one // 2]) for one in range(4)
        ]
        now, expected = [0] * 4, dict(before)
        for which, amount in steps:
            set_mrr(rows[which], amount)
            movements.run()
            direction = "up" if amount > now[which] else "down"
            key = (rows[which].currency, direction)
            expected[key] = expected.get(key, 0) + amount - now[which]
            now[which] = amount
        db.session.expire_all()
        assert [row.mrr_booked for row in rows] == now
        assert {key: value for key, value in expected.items() if value} == totals()
        assert not list(books.differences(Mode.LIVE))
        for row in rows:
            set_mrr(row, 0)
        movements.run()

    check()


def totals() -> dict[tuple[str, str], int]:
    """What the daily sums say went up and down, by currency."""
    found: dict[tuple[str, str], int] = {}
    for one in db.session.execute(select(DailyFigure).where(DailyFigure.name.startswith("mrr."))).scalars():
        key = (one.currency, "up" if one.amount > 0 else "down")
        found[key] = found.get(key, 0) + one.amount
    db.session.commit()
    return found
