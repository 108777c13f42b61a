"""Test clocks: renewals, trials and dunning without waiting."""

import datetime as dt
from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import START, advance, use_card

DAY = 86400


def test_a_renewal_is_drafted_and_charged_an_hour_later(api: Any, clock: Any, carol: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    assert (made.created, made.test_clock) == (START, clock.id)
    advance(api, clock, days=28, minutes=1)
    draft = api.invoices.list({"subscription": made.id, "limit": 1}).data[0]
    assert (draft.status, draft.billing_reason) == ("draft", "subscription_cycle")
    assert draft.automatically_finalizes_at == draft.created + 3600
    advance(api, clock, hours=2)
    assert api.invoices.retrieve(draft.id).status == "paid"
    item = api.subscriptions.retrieve(made.id)["items"].data[0]
    assert f"{dt.datetime.fromtimestamp(item.current_period_end, dt.UTC):%d %b}" == "31 Mar"


def test_a_renewal_that_fails_is_tried_again_and_then_given_up(
    api: Any, clock: Any, carol: Any, monthly: Any
) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    use_card(api, carol, "pm_card_chargeCustomerFail")
    advance(api, clock, days=28, hours=2)
    assert api.subscriptions.retrieve(made.id).status == "past_due"
    invoice = api.invoices.list({"subscription": made.id, "limit": 1}).data[0]
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert invoice.next_payment_attempt > invoice.created
    advance(api, clock, days=20)
    gone = api.subscriptions.retrieve(made.id)
    assert (gone.status, gone.cancellation_details.reason) == ("canceled", "payment_failed")


def test_a_trial_announces_its_end_and_is_then_paid_for(api: Any, clock: Any, carol: Any, monthly: Any) -> None:
    terms = {"customer": carol.id, "items": [{"price": monthly.id}], "trial_period_days": 14}
    made = api.subscriptions.create(terms)
    advance(api, clock, days=12)
    announced = api.events.list({"type": "customer.subscription.trial_will_end", "limit": 1}).data[0]
    assert announced.data.object.id == made.id
    advance(api, clock, days=2, hours=2)
    running = api.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]})
    assert (running.status, running.latest_invoice.amount_paid) == ("active", 4999)


def test_a_cancelled_plan_ends_with_its_period(api: Any, clock: Any, carol: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    api.subscriptions.update(made.id, {"cancel_at_period_end": True})
    advance(api, clock, days=27)
    assert api.subscriptions.retrieve(made.id).status == "active"
    advance(api, clock, days=2)
    gone = api.subscriptions.retrieve(made.id)
    assert (gone.status, gone.cancel_at_period_end) == ("canceled", True)
    assert len(api.invoices.list({"subscription": made.id}).data) == 1


def test_a_first_payment_that_never_comes_lapses_after_23_hours(
    api: Any, clock: Any, carol: Any, monthly: Any
) -> None:
    use_card(api, carol, "pm_card_threeDSecure2Required")
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    assert made.status == "incomplete"
    advance(api, clock, hours=24)
    assert api.subscriptions.retrieve(made.id).status == "incomplete_expired"
    assert api.invoices.retrieve(made.latest_invoice).status == "void"


def test_time_does_not_go_back_nor_too_far(api: Any, clock: Any, carol: Any, monthly: Any) -> None:
    api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    for moment in (START - 1, START + 70 * DAY):
        with pytest.raises(stripe.InvalidRequestError):
            api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": moment})


def test_a_deleted_clock_takes_its_customers_along(api: Any, clock: Any, carol: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    assert api.test_helpers.test_clocks.delete(clock.id).deleted
    assert api.customers.retrieve(carol.id).deleted
    assert api.subscriptions.retrieve(made.id).status == "canceled"


def test_usage_is_billed_when_its_period_has_ended(api: Any, clock: Any, carol: Any, product: Any) -> None:
    count = {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    meter = api.billing.meters.create(count)
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    terms = {"product": product.id, "currency": "usd", "unit_amount_decimal": "0.25", "recurring": recurring}
    price = api.prices.create(terms)
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": price.id}]})
    assert (made.status, "quantity" in made["items"].data[0]) == ("active", False)
    advance(api, clock, days=3)
    for number, value in enumerate(("100", "210.5")):
        use(api, carol, value, f"use-{made.id}-{number}", START + DAY)
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier"):
        use(api, carol, "1", f"use-{made.id}-0", START + DAY)
    advance(api, clock, days=26)
    invoice = api.invoices.list({"subscription": made.id, "limit": 1}).data[0]
    line = invoice.lines.data[0]
    assert (invoice.total, line.quantity, str(line.quantity_decimal)) == (78, 310, "310.5")
    assert line.period.start == START


def use(api: Any, customer: Any, value: str, identifier: str, timestamp: int) -> None:
    payload = {"stripe_customer_id": customer.id, "value": value}
    api.billing.meter_events.create(
        {"event_name": "calls", "payload": payload, "identifier": identifier, "timestamp": timestamp}
    )


def test_of_mixed_intervals_each_is_billed_when_its_own_period_begins(
    api: Any, clock: Any, carol: Any, monthly: Any, product: Any
) -> None:
    """https://docs.stripe.com/billing/subscriptions/mixed-interval"""
    year = {"product": product.id, "unit_amount": 20000, "currency": "usd", "recurring": {"interval": "year"}}
    items = [{"price": monthly.id}, {"price": api.prices.create(year).id}]
    made = api.subscriptions.create({"customer": carol.id, "items": items})
    for _ in range(3):
        advance(api, clock, days=31)
    totals = [one.total for one in api.invoices.list({"subscription": made.id}).data]
    assert totals == [4999, 4999, 4999, 24999]


def test_a_new_cycle_is_not_billed_again_where_the_old_one_would_have_ended(
    api: Any, clock: Any, carol: Any, monthly: Any, product: Any
) -> None:
    year = {"product": product.id, "unit_amount": 20000, "currency": "usd", "recurring": {"interval": "year"}}
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    change = {"items": [{"id": made["items"].data[0].id, "price": api.prices.create(year).id}]}
    api.subscriptions.update(made.id, change)
    for days in (40, 330):
        advance(api, clock, days=days)
    totals = [one.total for one in api.invoices.list({"subscription": made.id}).data]
    assert totals == [20000, 20000 - 4999, 4999]
