"""Situations that edits in the Dashboard leave behind, each with the next two charges."""

from datetime import timedelta
from typing import Any

from tests.billing.situations import PRO, STARTER, Sums, catalogue, change, coupon, item_of, price, tax
from tests.support.clocked import START, Clocked


def with_support(carol: Clocked) -> tuple[str, str]:
    """Subscribe to Pro with an add-on of $10.00, and return the subscription and the item of the add-on."""
    extra = price(carol, unit_amount=1000)
    made = carol.subscribe(items=[{"price": catalogue(carol, "pro_monthly")}, {"price": extra}])
    items = carol.stripe.subscriptions.retrieve(made)["items"].data
    return made, next(one.id for one in items if one.price.id == extra)


def an_add_on_removed(carol: Clocked) -> Sums:
    """Halfway: half of its price comes back with the next payment."""
    made, extra = with_support(carol)
    carol.advance(days=14)
    change(carol, made, items=[{"id": extra, "deleted": True}])
    return [PRO - 500, PRO]


def an_add_on_removed_without_proration(carol: Clocked) -> Sums:
    made, extra = with_support(carol)
    change(carol, made, items=[{"id": extra, "deleted": True}], proration_behavior="none")
    return [PRO, PRO]


def an_add_on_at_zero(carol: Clocked) -> Sums:
    made, extra = with_support(carol)
    change(carol, made, items=[{"id": extra, "quantity": 0}], proration_behavior="none")
    return [PRO, PRO]


def seats_invoiced_at_once(carol: Clocked) -> Sums:
    made = carol.subscribe()
    carol.advance(days=14)
    change(carol, made, items=[{"id": item_of(carol, made), "quantity": 3}], proration_behavior="always_invoice")
    return [3 * PRO, 3 * PRO]


def a_longer_trial(carol: Clocked) -> Sums:
    made = carol.subscribe(trial_period_days=14)
    change(carol, made, trial_end=int((START + timedelta(days=40)).timestamp()))
    return [PRO, PRO]


def a_trial_ended_now(carol: Clocked) -> Sums:
    made = carol.subscribe(trial_period_days=14)
    change(carol, made, trial_end="now")
    return [PRO, PRO]


def an_anchor_of_now(carol: Clocked) -> Sums:
    """The new period was charged at once, less what was left of the old one."""
    made = carol.subscribe()
    carol.advance(days=14)
    change(carol, made, billing_cycle_anchor="now")
    return [PRO, PRO]


def a_credit_item_above_the_price(carol: Clocked) -> Sums:
    """$60.00 off: nothing is due, and $10.01 stay on the balance."""
    carol.subscribe()
    item = {"customer": carol.stripe_customer, "amount": -6000, "currency": "usd", "description": "Sorry"}
    carol.stripe.invoice_items.create(item)
    carol.settle()
    return [0, PRO - 1001]


def an_item_of_one_subscription(carol: Clocked) -> Sums:
    first = carol.subscribe()
    carol.subscribe(items=[{"price": price(carol, "Workshop", unit_amount=2500)}])
    item = {"customer": carol.stripe_customer, "amount": 700, "currency": "usd", "subscription": first}
    carol.stripe.invoice_items.create(item)
    carol.settle()
    return [PRO + 700 + 2500, PRO + 2500]


def more_off_than_it_costs(carol: Clocked) -> Sums:
    made = carol.subscribe()
    off = coupon(carol, amount_off=9900, currency="usd", duration="repeating", duration_in_months=2)
    change(carol, made, discounts=off)
    return [0, PRO]


def a_discount_removed(carol: Clocked) -> Sums:
    made = carol.subscribe(discounts=coupon(carol, percent_off=20))
    change(carol, made, discounts="")
    return [PRO, PRO]


def a_tax_inside_with_a_discount(carol: Clocked) -> Sums:
    """The tax is a part of what is left."""
    carol.subscribe(discounts=coupon(carol, percent_off=20), default_tax_rates=[tax(carol, 20, inclusive=True)])
    return [3999, 3999]


def two_taxes(carol: Clocked) -> Sums:
    """5 % and 9.975 % of 49.99: 2.50 and 4.99."""
    carol.subscribe(default_tax_rates=[tax(carol, 5), tax(carol, 9.975)])
    return [PRO + 250 + 499, PRO + 250 + 499]


def a_discount_of_the_customer_and_one_item(carol: Clocked) -> Sums:
    """An item's own discount replaces that of the subscription."""
    made = carol.subscribe(discounts=coupon(carol, percent_off=20))
    off = coupon(carol, amount_off=500, currency="usd", duration="repeating", duration_in_months=12)
    change(carol, made, items=[{"id": item_of(carol, made), "discounts": off}])
    return [3599, 3599]


def released(carol: Clocked, *, cancel: bool) -> None:
    made = carol.subscribe()
    schedules = carol.stripe.subscription_schedules
    schedule = schedules.create({"from_subscription": made})
    now: Any = schedule.phases[0]
    first = {
        "items": [{"price": catalogue(carol, "pro_monthly")}],
        "start_date": now.start_date,
        "end_date": now.end_date,
    }
    then = {"items": [{"price": catalogue(carol, "starter_monthly")}], "proration_behavior": "none"}
    schedules.update(schedule.id, {"phases": [first, then | {"duration": {"interval": "month"}}]})
    carol.settle()
    (schedules.cancel if cancel else schedules.release)(schedule.id)
    carol.settle()


def a_released_schedule(carol: Clocked) -> Sums:
    released(carol, cancel=False)
    return [PRO, PRO]


def a_canceled_schedule(carol: Clocked) -> Sums:
    """It takes the subscription with it."""
    released(carol, cancel=True)
    return [None, None]


def an_end_taken_back(carol: Clocked) -> Sums:
    made = carol.subscribe()
    change(carol, made, cancel_at_period_end=True)
    change(carol, made, cancel_at_period_end=False)
    return [PRO, PRO]


def an_end_within_the_next_period(carol: Clocked) -> Sums:
    """The last period is shorter, and so is its price: 14 of 31 days."""
    carol.subscribe(cancel_at=int((START + timedelta(days=42)).timestamp()))
    return [2258, None]


def collection_that_goes_on(carol: Clocked) -> Sums:
    made = carol.subscribe()
    change(carol, made, pause_collection={"behavior": "keep_as_draft"})
    change(carol, made, pause_collection="")
    return [PRO, PRO]


def another_plan_from_the_next_period(carol: Clocked) -> Sums:
    made = carol.subscribe()
    starter = {"id": item_of(carol, made), "price": catalogue(carol, "starter_monthly")}
    change(carol, made, items=[starter], proration_behavior="none")
    return [STARTER, STARTER]


def a_year_instead_of_a_month(carol: Clocked) -> Sums:
    """The year was charged at once, less what was left of the month; it renews a year later."""
    made = carol.subscribe()
    yearly = {"id": item_of(carol, made), "price": catalogue(carol, "pro_yearly")}
    change(carol, made, items=[yearly])
    amount = carol.stripe.prices.retrieve(yearly["price"]).unit_amount
    return [amount]


EDITS = [
    an_add_on_removed,
    an_add_on_removed_without_proration,
    an_add_on_at_zero,
    seats_invoiced_at_once,
    a_longer_trial,
    a_trial_ended_now,
    an_anchor_of_now,
    a_credit_item_above_the_price,
    an_item_of_one_subscription,
    more_off_than_it_costs,
    a_discount_removed,
    a_tax_inside_with_a_discount,
    two_taxes,
    a_discount_of_the_customer_and_one_item,
    a_released_schedule,
    a_canceled_schedule,
    an_end_taken_back,
    an_end_within_the_next_period,
    collection_that_goes_on,
    another_plan_from_the_next_period,
    a_year_instead_of_a_month,
]
