"""Usage that is billed before its period ends.

https://docs.stripe.com/billing/subscriptions/usage-based/thresholds
"""

from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import START, advance

DAY = 86400


@pytest.fixture
def meter(api: Any) -> Any:
    name = f"words_{len(api.billing.meters.list({'limit': 100}).data)}"
    count = {"display_name": "Words", "event_name": name, "default_aggregation": {"formula": "sum"}}
    return api.billing.meters.create(count)


@pytest.fixture
def by_usage(api: Any, product: Any, meter: Any) -> Any:
    """$1 a word."""
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    return api.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 100, "recurring": recurring}
    )


@pytest.fixture
def tiered(api: Any, product: Any, meter: Any) -> Any:
    """$1 a word up to ten, then half of that."""
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    tiers = [{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 50}]
    terms = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers, "currency": "usd"}
    return api.prices.create({"product": product.id, "recurring": recurring, **terms})


def use(api: Any, meter: Any, customer: Any, value: float) -> None:
    payload = {"stripe_customer_id": customer.id, "value": str(value)}
    api.billing.meter_events.create({"event_name": meter.event_name, "payload": payload})


def bills(api: Any, subscription: Any) -> list[tuple[str, int]]:
    """The reason and the total of each bill, oldest first."""
    found = api.invoices.list({"subscription": subscription.id}).data
    return [(one.billing_reason, one.total) for one in reversed(found)]


def test_usage_is_billed_when_it_reaches_an_amount(
    api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any
) -> None:
    thresholds = {"billing_thresholds": {"amount_gte": 1000}}
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": by_usage.id}], **thresholds})
    advance(api, clock, days=2)
    for number in (6, 3):
        use(api, meter, carol, number)
    assert bills(api, made) == [("subscription_create", 0)]
    use(api, meter, carol, 2)
    assert bills(api, made)[1:] == [("subscription_threshold", 1100)]
    invoice = api.invoices.list({"subscription": made.id, "limit": 1}).data[0]
    assert (invoice.status, invoice.threshold_reason.amount_gte) == ("draft", 1000)
    advance(api, clock, hours=2)
    assert api.invoices.retrieve(invoice.id).status == "paid"
    use(api, meter, carol, 4)
    advance(api, clock, days=28)  # the rest is billed with the renewal
    assert bills(api, made)[2:] == [("subscription_cycle", 400)]
    item = api.subscriptions.retrieve(made.id)["items"].data[0]
    assert api.subscriptions.retrieve(made.id).billing_cycle_anchor == START
    use(api, meter, carol, 5)
    advance(api, clock, days=30)
    assert bills(api, made)[3:] == [("subscription_cycle", 500)]
    assert item.current_period_start == START + 28 * DAY


def test_parts_of_a_unit_are_billed_once(api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any) -> None:
    items = [{"price": by_usage.id, "billing_thresholds": {"usage_gte": 2}}]
    made = api.subscriptions.create({"customer": carol.id, "items": items})
    for number in (2.5, 1.75, 0.25):
        use(api, meter, carol, number)
    advance(api, clock, days=29)
    totals = [250, 200, 0]
    reasons = ["subscription_threshold", "subscription_threshold", "subscription_cycle"]
    assert bills(api, made)[1:] == list(zip(reasons, totals, strict=True))


def test_tiers_count_all_usage_of_a_period(api: Any, clock: Any, carol: Any, meter: Any, tiered: Any) -> None:
    thresholds = {"billing_thresholds": {"amount_gte": 800}}
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": tiered.id}], **thresholds})
    use(api, meter, carol, 8)
    use(api, meter, carol, 6)  # two at $1, four at half of that
    advance(api, clock, days=29)
    assert bills(api, made)[1:] == [("subscription_threshold", 800), ("subscription_cycle", 400)]


def test_a_threshold_may_begin_a_new_cycle(
    api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any, monthly: Any
) -> None:
    thresholds = {"billing_thresholds": {"amount_gte": 6000, "reset_billing_cycle_anchor": True}}
    items = [{"price": monthly.id}, {"price": by_usage.id}]
    made = api.subscriptions.create({"customer": carol.id, "items": items, **thresholds})
    advance(api, clock, days=10)
    use(api, meter, carol, 11)  # with the next month's $49.99
    assert bills(api, made) == [("subscription_create", 4999), ("subscription_threshold", 6099)]
    after = api.subscriptions.retrieve(made.id)
    assert after.billing_cycle_anchor == START + 10 * DAY
    assert {item.current_period_start for item in after["items"].data} == {START + 10 * DAY + 1}
    advance(api, clock, days=29)
    assert bills(api, made)[2:] == [("subscription_cycle", 4999)]


def test_usage_is_billed_when_it_reaches_a_quantity(
    api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any
) -> None:
    items = [{"price": by_usage.id, "billing_thresholds": {"usage_gte": 5}}]
    made = api.subscriptions.create({"customer": carol.id, "items": items})
    for _ in range(4):
        use(api, meter, carol, 3)
    assert bills(api, made)[1:] == [("subscription_threshold", 600)] * 2
    invoice = api.invoices.list({"subscription": made.id, "limit": 1}).data[0]
    (reason,) = invoice.threshold_reason.item_reasons
    assert (reason.usage_gte, reason.line_item_ids) == (5, [invoice.lines.data[0].id])


def test_thresholds_are_changed_and_removed(api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": by_usage.id}]})
    item = made["items"].data[0].id
    reset = {"amount_gte": 200, "reset_billing_cycle_anchor": True}
    api.subscriptions.update(made.id, {"billing_thresholds": reset})
    advance(api, clock, days=1)
    use(api, meter, carol, 2)
    assert bills(api, made)[1:] == [("subscription_threshold", 200)]
    assert api.subscriptions.retrieve(made.id).billing_cycle_anchor == START + DAY
    api.subscriptions.update(made.id, {"billing_thresholds": ""})
    advance(api, clock, hours=1)
    use(api, meter, carol, 2)
    five = {"id": item, "billing_thresholds": {"usage_gte": 5}}
    api.subscriptions.update(made.id, {"items": [five]})
    use(api, meter, carol, 3)
    assert bills(api, made)[2:] == [("subscription_threshold", 500)]
    api.subscriptions.update(made.id, {"items": [{"id": item, "billing_thresholds": ""}]})
    use(api, meter, carol, 9)
    assert len(bills(api, made)) == 3


def test_an_item_of_an_api_call_has_a_threshold(
    api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any, monthly: Any
) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    terms = {"subscription": made.id, "price": by_usage.id, "billing_thresholds": {"usage_gte": 5}}
    item = api.subscription_items.create(terms)
    use(api, meter, carol, 5)
    api.subscription_items.update(item.id, {"billing_thresholds": {"usage_gte": 2}})
    use(api, meter, carol, 2)
    assert bills(api, made)[1:] == [("subscription_threshold", 500), ("subscription_threshold", 200)]


def test_a_threshold_does_not_count_on_the_last_day_or_below_licensed_prices(
    api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any, monthly: Any
) -> None:
    items = [{"price": monthly.id}, {"price": by_usage.id}]
    with pytest.raises(stripe.InvalidRequestError, match="licensed"):
        api.subscriptions.create(
            {"customer": carol.id, "items": items, "billing_thresholds": {"amount_gte": 4999}}
        )
    made = api.subscriptions.create(
        {"customer": carol.id, "items": items[1:], "billing_thresholds": {"amount_gte": 100}}
    )
    advance(api, clock, days=27, hours=1)
    use(api, meter, carol, 2)
    assert len(bills(api, made)) == 1


def test_a_new_cycle_bills_what_was_used_before_it(
    api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any
) -> None:
    """https://docs.stripe.com/billing/subscriptions/billing-cycle"""
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": by_usage.id}]})
    for days in (5, 5):
        use(api, meter, carol, 3)
        advance(api, clock, days=days)
        api.subscriptions.update(made.id, {"billing_cycle_anchor": "now"})
    assert bills(api, made)[1:] == [("subscription_update", 300), ("subscription_update", 300)]


def test_usage_of_a_trial_is_free(api: Any, clock: Any, carol: Any, meter: Any, by_usage: Any) -> None:
    """https://docs.stripe.com/billing/subscriptions/trials"""
    made = api.subscriptions.create(
        {"customer": carol.id, "items": [{"price": by_usage.id}], "trial_period_days": 7}
    )
    use(api, meter, carol, 3)
    advance(api, clock, days=8)
    use(api, meter, carol, 5)
    advance(api, clock, days=30)
    assert bills(api, made)[1:] == [("subscription_cycle", 0), ("subscription_cycle", 500)]
