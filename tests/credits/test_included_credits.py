"""Credits that a plan includes: given once for each paid month, until it ends."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import jobs
from portal.billing import invoices
from portal.credits import ledger
from portal.credits.included import giving, overview
from portal.extensions import db
from portal.models import Invoice
from tests.conftest import Person
from tests.support.books import assert_balanced, entries_of
from tests.support.clocked import START, Clocked, mailed, on_a_clock
from tests.support.included import grants_of, include, periods_of
from tests.support.world import World

FEBRUARY, MARCH = START.replace(month=2, day=28), START.replace(month=3)


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    """Alice's customer in test mode, on a clock, where Pro includes 20,000 credits and Starter 5,000."""
    include("pro", credits=20_000)
    include("starter", credits=5_000)
    return on_a_clock(here, alice.user)


def newest(clocked: Clocked) -> str:
    """The customer's newest invoice."""
    query = select(Invoice.stripe_id).filter_by(customer_id=clocked.customer_id).order_by(Invoice.id.desc())
    found: str = db.session.execute(query.limit(1)).scalar_one()
    db.session.commit()
    return found


def change(clocked: Clocked, subscription: str, lookup_key: str, **params: object) -> None:
    """Have Stripe change the plan of a subscription now, and bill the difference."""
    stripe = clocked.stripe
    item = stripe.subscriptions.retrieve(subscription).to_dict()["items"]["data"][0]["id"]
    price = stripe.prices.list({"lookup_keys": [lookup_key]}).data[0].id
    given = {"items": [{"id": item, "price": price}], "proration_behavior": "always_invoice"} | params
    stripe.subscriptions.update(subscription, given)
    clocked.settle()


def tick(clocked: Clocked) -> None:
    jobs.tick()
    clocked.settle()


def test_each_paid_month_gives_its_credits_once_until_it_ends(carol: Clocked) -> None:
    carol.subscribe()
    first = newest(carol)
    assert grants_of(carol.customer_id) == [(20_000, 20_000, FEBRUARY, first)]
    for _ in range(2):
        invoices.sync("test", first)
        assert giving.run() == 0
    assert assert_balanced(carol.customer_id) == 20_000
    carol.advance(days=28, hours=2)
    tick(carol)
    second = newest(carol)
    assert grants_of(carol.customer_id)[1:] == [(20_000, 20_000, MARCH, second)]
    assert [entry[:2] for entry in entries_of(carol.customer_id)] == [
        ("grant", 20_000),
        ("grant", 20_000),
        ("expiry", -20_000),
    ]
    assert [one.invoice_id for one in periods_of(carol.customer_id)] == [first, second]


def test_an_upgrade_gives_the_difference_for_the_rest_of_the_month(carol: Clocked) -> None:
    subscription = carol.subscribe("starter_monthly")
    carol.advance(days=7)
    change(carol, subscription, "pro_monthly")
    assert [one[:3] for one in grants_of(carol.customer_id)] == [
        (5_000, 5_000, FEBRUARY),
        (11_250, 11_250, FEBRUARY),  # 15,000 for 21 of 28 days
    ]


def test_a_year_gives_credits_monthly_on_the_anchor_s_day(carol: Clocked) -> None:
    carol.subscribe("pro_yearly")
    assert [one[2] for one in grants_of(carol.customer_id)] == [FEBRUARY]
    carol.advance(days=28)
    tick(carol)
    carol.advance(days=30)
    tick(carol)
    assert [one[:3] for one in grants_of(carol.customer_id)] == [
        (20_000, 0, FEBRUARY),
        (20_000, 20_000, MARCH),
    ]
    carol.advance(days=1)
    tick(carol)
    first = newest(carol)
    assert [one.reference for one in grants_of(carol.customer_id)] == [first, f"{first}:2", f"{first}:3"]
    assert assert_balanced(carol.customer_id) == 20_000


def test_two_upgrades_in_one_month_give_each_its_difference(carol: Clocked) -> None:
    include("enterprise", credits=90_000)
    subscription = carol.subscribe("starter_monthly")
    carol.advance(days=7)
    change(carol, subscription, "pro_monthly")
    carol.advance(days=14)
    change(carol, subscription, "enterprise_monthly")
    assert [one.credits for one in grants_of(carol.customer_id)] == [
        5_000,
        11_250,
        17_500,
    ]  # 70,000 for 7 of 28 days


def test_an_immediate_downgrade_takes_nothing_back_and_the_way_up_gives_nothing_again(carol: Clocked) -> None:
    subscription = carol.subscribe("pro_monthly")
    carol.advance(days=7)
    change(carol, subscription, "starter_monthly")
    carol.advance(days=7)
    change(carol, subscription, "pro_monthly")
    assert [one.credits for one in grants_of(carol.customer_id)] == [20_000]
    change(carol, subscription, "starter_monthly")
    carol.advance(days=14, hours=2)
    assert [one.credits for one in grants_of(carol.customer_id)] == [20_000, 5_000]


def test_a_period_keeps_its_numbers_until_it_ends(carol: Clocked) -> None:
    carol.subscribe("pro_yearly")
    include("pro", credits=7)
    carol.advance(days=29)
    tick(carol)
    assert [one.credits for one in grants_of(carol.customer_id)] == [20_000, 20_000]


def test_a_change_from_months_to_a_year_gives_the_difference_too(carol: Clocked) -> None:
    subscription = carol.subscribe("pro_monthly")
    carol.advance(days=14)
    change(carol, subscription, "pro_yearly")
    found = grants_of(carol.customer_id)
    assert [one.credits for one in found] == [20_000, 10_000]  # half of the first month was credited
    assert found[1].expires_at == START.replace(month=3, day=14)


@pytest.mark.parametrize(("gives", "expected"), [(True, [20_000, 20_000]), (False, [20_000])])
def test_a_trial_gives_its_credits_once_where_the_catalogue_says_so(
    carol: Clocked, gives: bool, expected: list[int]
) -> None:
    include("pro", credits_in_trial=gives)
    trial_end = START + timedelta(days=7)
    subscription = carol.subscribe("pro_monthly", trial_end=int(trial_end.timestamp()))
    carol.stripe.subscriptions.update(
        subscription, {"trial_end": int((trial_end + timedelta(days=3)).timestamp())}
    )
    carol.settle()
    carol.advance(days=10, hours=2)
    tick(carol)
    found = grants_of(carol.customer_id)
    assert [one.credits for one in found] == expected
    assert found[-1].expires_at == START.replace(month=3, day=10)
    if gives:
        assert (found[0].expires_at, found[0].left) == (trial_end, 0)


def test_credits_roll_over_for_as_many_months_as_the_catalogue_says(carol: Clocked) -> None:
    include("pro", rollover=1)
    carol.subscribe()
    carol.advance(days=28, hours=2)
    tick(carol)
    assert [one[1:3] for one in grants_of(carol.customer_id)] == [
        (20_000, MARCH),
        (20_000, START.replace(month=4, day=30)),
    ]
    ledger.spend(carol.customer_id, 25_000, "work")
    db.session.commit()
    assert [one.left for one in grants_of(carol.customer_id)] == [0, 15_000]
    now = carol.customer.clock_at
    assert now is not None
    mine = overview.current(carol.customer_id, now)
    db.session.commit()
    assert mine is not None
    assert (mine.credits, mine.used, mine.remaining, mine.resets_at) == (20_000, 5_000, 15_000, MARCH)


def test_included_credits_are_spent_before_bought_ones(carol: Clocked) -> None:
    ledger.post(carol.customer_id, 1_000, "adjustment", "bought")
    db.session.commit()
    carol.subscribe()
    ledger.spend(carol.customer_id, 5_000, "work")
    db.session.commit()
    assert grants_of(carol.customer_id)[0].left == 15_000
    assert assert_balanced(carol.customer_id) == 16_000


def test_an_invoice_that_is_paid_out_of_band_or_late_gives_its_credits(carol: Clocked) -> None:
    carol.subscribe()
    carol.use_card("pm_card_chargeCustomerFail")
    carol.advance(days=28, hours=2)
    tick(carol)
    assert [one.credits for one in grants_of(carol.customer_id)] == [20_000]
    owed = newest(carol)
    carol.advance(days=35)  # beyond the month that it is for
    carol.stripe.invoices.pay(owed, {"paid_out_of_band": True})
    carol.settle()
    late = grants_of(carol.customer_id)[-1]
    assert late == (20_000, 20_000, START.replace(month=4, day=30), owed)


def test_a_plan_at_no_cost_gives_its_credits_with_its_invoices(carol: Clocked) -> None:
    include("beta", credits=300)
    carol.subscribe("beta_monthly")
    assert [one.credits for one in grants_of(carol.customer_id)] == [300]


def test_a_first_period_until_its_anchor_gives_its_part(carol: Clocked) -> None:
    anchor = START.replace(month=2, day=14)
    carol.subscribe("pro_monthly", billing_cycle_anchor=int(anchor.timestamp()))
    expected = round(20_000 * 14 / 31)  # 31 January to 14 February, of a month from 14 January
    assert [one[:3] for one in grants_of(carol.customer_id)] == [(expected, expected, anchor)]


def test_a_failed_payment_of_an_upgrade_changes_nothing(carol: Clocked) -> None:
    subscription = carol.subscribe("starter_monthly")
    carol.use_card("pm_card_chargeCustomerFail")
    carol.advance(days=7)
    change(carol, subscription, "pro_monthly", payment_behavior="allow_incomplete")
    assert [one.credits for one in grants_of(carol.customer_id)] == [5_000]
    carol.use_card("pm_card_visa")
    carol.stripe.invoices.pay(newest(carol))
    carol.settle()
    assert [one.credits for one in grants_of(carol.customer_id)] == [5_000, 11_250]


def test_an_email_tells_at_80_and_at_100_percent_once(carol: Clocked) -> None:
    carol.subscribe()
    for number, credits in enumerate((15_999, 1, 3_999, 1)):
        ledger.spend(carol.customer_id, credits, f"work-{number}")
        db.session.commit()
        tick(carol)
        tick(carol)
    told = [row.context for row in mailed("included_credits")]
    assert [(one["percent"], one["left"], one["plan"]) for one in told] == [(80, 4_000, "Pro"), (100, 0, "Pro")]


def test_a_month_that_ends_unspent_is_told_of_by_no_email(carol: Clocked) -> None:
    carol.subscribe()
    carol.advance(days=28, hours=2)
    tick(carol)
    tick(carol)
    assert mailed("included_credits") == []
