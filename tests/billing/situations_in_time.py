"""Situations of a subscription that differ in time, balance and collection, each with the next two charges."""

from datetime import timedelta
from typing import Any

from tests.billing.situations import PRO, STARTER, Sums, catalogue, change, coupon, price
from tests.support.clocked import START, Clocked


def a_balance(carol: Clocked) -> Sums:
    """$60.00 of credit pay one renewal, and a part of the next."""
    carol.subscribe()
    carol.stripe.customers.update(carol.stripe_customer, {"balance": -6000})
    carol.settle()
    return [0, PRO - (6000 - PRO)]


def an_owed_balance(carol: Clocked) -> Sums:
    carol.subscribe()
    carol.stripe.customers.update(carol.stripe_customer, {"balance": 700})
    carol.settle()
    return [PRO + 700, PRO]


def a_trial(carol: Clocked) -> Sums:
    carol.subscribe(trial_period_days=14)
    return [PRO, PRO]


def a_trial_with_a_discount(carol: Clocked) -> Sums:
    carol.subscribe(trial_period_days=14, discounts=coupon(carol, percent_off=20))
    return [3999, 3999]


def a_sent_invoice(carol: Clocked) -> Sums:
    """The first is a draft for an hour, as each is that is sent."""
    carol.subscribe(collection_method="send_invoice", days_until_due=14)
    carol.advance(hours=2)
    return [PRO, PRO]


def an_end_at_the_period(carol: Clocked) -> Sums:
    made = carol.subscribe()
    change(carol, made, cancel_at_period_end=True)
    return [None, None]


def an_end_that_bills_what_is_pending(carol: Clocked) -> Sums:
    """Nothing recurs, but what was added is charged with the end."""
    carol.subscribe(cancel_at=int((START + timedelta(days=28)).timestamp()))
    return [None, None]


def a_schedule(carol: Clocked, *, then: list[dict[str, Any]], **terms: Any) -> str:
    """Pro until the renewal, then other items. Returns the schedule's id."""
    made = carol.subscribe()
    schedule = carol.stripe.subscription_schedules.create({"from_subscription": made})
    now = schedule.phases[0]
    first = {
        "items": [{"price": catalogue(carol, "pro_monthly")}],
        "start_date": now.start_date,
        "end_date": now.end_date,
    }
    later = {"items": then, "proration_behavior": "none", "duration": {"interval": "month", "interval_count": 3}}
    params = {"phases": [first, later | terms], "end_behavior": "release"}
    carol.stripe.subscription_schedules.update(schedule.id, params)
    carol.settle()
    return str(schedule.id)


def a_planned_change(carol: Clocked) -> Sums:
    a_schedule(carol, then=[{"price": catalogue(carol, "starter_monthly")}])
    return [STARTER, STARTER]


def planned_seats_with_a_discount(carol: Clocked) -> Sums:
    """20 % of three times 4999 is 2999.4."""
    a_schedule(
        carol,
        then=[{"price": catalogue(carol, "pro_monthly"), "quantity": 3}],
        discounts=coupon(carol, percent_off=20),
    )
    return [3 * PRO - 2999, 3 * PRO - 2999]


def planned_seats_within_a_period(carol: Clocked) -> Sums:
    """The second phase ends on 28 March, and the period on the 31st: 2 more seats cost 967.55 for 3 of 31 days."""
    pro = catalogue(carol, "pro_monthly")
    schedule = a_schedule(carol, then=[{"price": pro}], duration={"interval": "month", "interval_count": 1})
    known = carol.stripe.subscription_schedules.retrieve(schedule).phases
    phases = [{"items": [{"price": pro}], "start_date": one.start_date, "end_date": one.end_date} for one in known]
    phases.append(
        {"items": [{"price": pro, "quantity": 3}], "duration": {"interval": "month", "interval_count": 3}}
    )
    carol.stripe.subscription_schedules.update(schedule, {"phases": phases})
    carol.settle()
    return [PRO, 3 * PRO + 967, 3 * PRO]


def three_months(carol: Clocked) -> Sums:
    quarterly = price(carol, unit_amount=12000, recurring={"interval": "month", "interval_count": 3})
    carol.subscribe(items=[{"price": quarterly}])
    return [12000, 12000]


def weekly(carol: Clocked) -> Sums:
    carol.subscribe(items=[{"price": price(carol, unit_amount=900, recurring={"interval": "week"})}])
    return [900, 900]


def a_month_beside_a_year(carol: Clocked) -> Sums:
    """The yearly add-on is charged once a year, the plan each month."""
    yearly = price(carol, unit_amount=30000, recurring={"interval": "year"})
    carol.subscribe(items=[{"price": yearly}, {"price": catalogue(carol, "pro_monthly")}])
    return [PRO, PRO]


def another_currency(carol: Clocked) -> Sums:
    carol.subscribe(items=[{"price": price(carol, unit_amount=5000, currency="jpy"), "quantity": 2}])
    return [10000, 10000]


def two_subscriptions(carol: Clocked) -> Sums:
    """The plan, and another product of the same account: both renew together."""
    carol.subscribe()
    carol.subscribe(items=[{"price": price(carol, "Workshop", unit_amount=2500)}])
    return [PRO + 2500, PRO + 2500]


def an_anchor_later(carol: Clocked) -> Sums:
    """The first part of a period was charged; whole ones begin with the anchor."""
    carol.subscribe(billing_cycle_anchor=int((START + timedelta(days=10)).timestamp()))
    return [PRO, PRO]


def something_bought_once(carol: Clocked) -> Sums:
    """With an update: it waits for the next invoice."""
    made = carol.subscribe()
    once = {"price_data": {"currency": "usd", "unit_amount": 9900}, "quantity": 1}
    once["price_data"]["product"] = carol.stripe.products.create({"name": "Training"}).id  # type: ignore[index]
    change(carol, made, add_invoice_items=[once])
    return [PRO + 9900, PRO]


def paused_without_charge(carol: Clocked) -> Sums:
    made = carol.subscribe()
    change(carol, made, pause_collection={"behavior": "void"})
    return [None, None]


def paused_until_a_day(carol: Clocked) -> Sums:
    """Collection goes on before the renewal."""
    made = carol.subscribe()
    resumes = int((START + timedelta(days=20)).timestamp())
    change(carol, made, pause_collection={"behavior": "void", "resumes_at": resumes})
    return [PRO, PRO]
