"""Subscription schedules that make their subscription themselves.

https://docs.stripe.com/billing/subscriptions/subscription-schedules and
https://docs.stripe.com/billing/subscriptions/subscription-schedules/use-cases
"""

from typing import Any

from tests.sandbox.clocked import advance
from tests.sandbox.scheduled import at, ids, subscription_of, totals
from tests.sandbox.scheduled import gold as gold
from tests.sandbox.scheduled import silver as silver

DAY = 86400


def test_a_subscription_starts_on_a_future_date(api: Any, clock: Any, carol: Any, gold: Any) -> None:
    """docs.stripe.com/api/subscription_schedules/create: a start_date, 12 months of a Gold Plan, then released"""
    year = {"items": [{"price": gold.id, "quantity": 1}], "duration": {"interval": "month", "interval_count": 12}}
    terms = {"start_date": at(2, 15), "end_behavior": "release", "phases": [year], "metadata": {"a": "1"}}
    made = api.subscription_schedules.create({"customer": carol.id, **terms})
    assert (made.status, made.subscription, made.current_phase) == ("not_started", None, None)
    assert (made.phases[0].start_date, made.phases[0].end_date) == (at(2, 15), at(2, 15, 2028))
    assert (made.metadata.a, made.end_behavior) == ("1", "release")
    assert ids(api.subscription_schedules.list({"customer": carol.id, "scheduled": True})) == [made.id]
    shown = api.invoices.create_preview({"schedule": made.id})
    advance(api, clock, days=15)
    begun = api.subscription_schedules.retrieve(made.id, {"expand": ["subscription.latest_invoice"]})
    first = begun.subscription.latest_invoice
    assert (begun.status, begun.current_phase.start_date, begun.subscription.schedule) == (
        "active",
        at(2, 15),
        made.id,
    )
    # A schedule's first invoice is a draft for an hour, as a renewal is.
    assert (begun.subscription.status, first.status, first.total, shown.total) == ("active", "draft", 1000, 1000)
    assert first.billing_reason == "subscription_create"
    assert ids(api.subscription_schedules.list({"customer": carol.id, "scheduled": True})) == []
    advance(api, clock, hours=2)
    assert api.invoices.retrieve(first.id).status == "paid"
    for _ in range(12):
        advance(api, clock, days=31)
    done = api.subscription_schedules.retrieve(made.id)
    assert (done.status, done.subscription) == ("completed", None)
    assert api.subscriptions.retrieve(done.released_subscription).status == "active"
    later = {"completed_at": {"gte": at(2, 15, 2028)}}
    assert ids(api.subscription_schedules.list({"customer": carol.id, **later})) == [made.id]
    for never in ({"gt": at(2, 16, 2028)}, {"gte": at(2, 16, 2028)}):
        assert ids(api.subscription_schedules.list({"customer": carol.id, "completed_at": never})) == []


def test_installments_end_with_the_last_phase(api: Any, clock: Any, carol: Any, gold: Any, hook: Any) -> None:
    """An installment plan of three months: end_behavior=cancel (…/subscription-schedules/use-cases)"""
    three = {"items": [{"price": gold.id}], "duration": {"interval": "month", "interval_count": 3}}
    made = api.subscription_schedules.create(
        {"customer": carol.id, "start_date": "now", "end_behavior": "cancel", "phases": [three]}
    )
    running = subscription_of(api, made)
    assert (made.status, running.cancel_at, running.cancel_at_period_end) == ("active", at(4, 30), False)
    for _ in range(3):
        advance(api, clock, days=29)
    expiring = api.events.list({"type": "subscription_schedule.expiring", "limit": 1}).data[0]
    assert (expiring.data.object.id, api.subscriptions.retrieve(running.id).status) == (made.id, "active")
    advance(api, clock, days=5)
    assert (api.subscriptions.retrieve(running.id).status, totals(api, made)) == ("canceled", [1000, 1000, 1000])
    assert api.subscription_schedules.retrieve(made.id).status == "completed"


def test_a_discount_of_the_first_phase_ends_with_it(
    api: Any, clock: Any, carol: Any, gold: Any, silver: Any
) -> None:
    """ "50% off for the first three months", then the normal cost (…/subscription-schedules#phases)"""
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": half.id}})
    months = {"interval": "month", "interval_count": 3}
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False})
    fifth = api.tax_rates.create({"display_name": "VAT", "percentage": 20, "inclusive": False})
    seat = {"price": silver.id, "quantity": 2, "metadata": {"kind": "seat"}, "tax_rates": [fifth.id]}
    seat["discounts"] = [{"promotion_code": code.id}]
    phases = [
        {"items": [{"price": gold.id}], "discounts": [{"coupon": half.id}], "duration": months},
        {
            "items": [{"price": gold.id}, seat],
            "end_date": at(7, 31),
            "description": "normal",
            "metadata": {"phase": "2"},
            "proration_behavior": "none",
            "default_tax_rates": [rate.id],
        },
    ]
    made = api.subscription_schedules.create({"customer": carol.id, "phases": phases})
    assert [phase.start_date for phase in made.phases] == [at(1, 31), at(4, 30)]
    assert made.phases[1].end_date == at(7, 31)
    assert made.phases[0].discounts[0].coupon == half.id
    for _ in range(3):
        advance(api, clock, days=30)
    assert totals(api, made) == [500, 500, 500, 1100 + 720]
    running = subscription_of(api, made)
    assert (running.description, running.metadata.phase, running.discounts) == ("normal", "2", [])
    assert running["items"].data[1].metadata.kind == "seat"


def test_a_phase_may_begin_with_a_trial(api: Any, clock: Any, carol: Any, gold: Any, silver: Any) -> None:
    phases = [
        {"items": [{"price": silver.id}], "trial": True, "end_date": at(2, 10)},
        {"items": [{"price": gold.id}], "duration": {"interval": "month"}},
        {"items": [{"price": gold.id}], "duration": {"interval": "month"}, "trial_end": at(3, 20)},
    ]
    made = api.subscription_schedules.create({"customer": carol.id, "phases": phases})
    running = subscription_of(api, made)
    assert (running.status, running.trial_end, made.phases[0].trial_end) == ("trialing", at(2, 10), at(2, 10))
    advance(api, clock, days=11)
    assert (subscription_of(api, made).status, totals(api, made)) == ("active", [0, 1000])
    advance(api, clock, days=29)
    again = subscription_of(api, made)
    assert (again.status, again.trial_end, again["items"].data[0].current_period_end) == (
        "trialing",
        at(3, 20),
        at(3, 20),
    )
    advance(api, clock, days=12)
    assert (subscription_of(api, made).status, totals(api, made)) == ("active", [0, 1000, 0, 1000])


def test_a_phase_bills_something_once(
    api: Any, clock: Any, carol: Any, gold: Any, once: Any, product: Any
) -> None:
    data = {"currency": "usd", "product": product.id, "unit_amount": 700}
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False})
    half = api.coupons.create({"percent_off": 50})
    extras = [
        {"price": once.id, "quantity": 2, "tax_rates": [rate.id], "metadata": {"a": "1"}, "discountable": False},
        {"price_data": data, "discounts": [{"coupon": half.id}], "period": {"start": {"type": "phase_start"}}},
    ]
    extras[1]["period"] |= {"end": {"type": "phase_end"}}
    month = {"items": [{"price": gold.id}], "duration": {"interval": "month"}}
    third = {**month, "duration": {"interval": "month", "interval_count": 2}, "add_invoice_items": extras}
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"})
    third["discounts"] = [{"coupon": tenth.id}]
    made = api.subscription_schedules.create({"customer": carol.id, "phases": [month, third]})
    assert made.phases[1].add_invoice_items[0].quantity == 2
    shown = api.invoices.create_preview({"schedule": made.id})
    advance(api, clock, days=29)
    assert totals(api, made) == [1000, 900 + 3300 + 315]
    assert shown.total == totals(api, made)[1]
    lines = {line.amount: line for line in subscription_bill(api, made).lines.data}
    assert (lines[3000].metadata.a, lines[3000].period.start, lines[3000].period.end) == (
        "1",
        at(2, 28),
        at(3, 31),
    )
    assert (lines[700].period.start, lines[700].period.end) == (at(2, 28), at(4, 28))
    advance(api, clock, days=31)
    assert totals(api, made)[2] == 900


def subscription_bill(api: Any, schedule: Any) -> Any:
    return api.invoices.retrieve(subscription_of(api, schedule).latest_invoice)


def test_settings_hold_for_all_phases_unless_a_phase_has_its_own(
    api: Any, clock: Any, carol: Any, gold: Any
) -> None:
    amex = api.payment_methods.attach("pm_card_amex", {"customer": carol.id}).id
    master = api.payment_methods.attach("pm_card_mastercard", {"customer": carol.id}).id
    month = {"items": [{"price": gold.id}], "duration": {"interval": "month"}}
    visa = api.payment_methods.attach("pm_card_visa", {"customer": carol.id}).id
    own = {"collection_method": "send_invoice", "default_payment_method": master}
    own |= {"description": "own", "invoice_settings": {"days_until_due": 9}}
    defaults = {"collection_method": "send_invoice", "invoice_settings": {"days_until_due": 5}}
    defaults |= {"default_payment_method": amex, "description": "all", "billing_cycle_anchor": "phase_start"}
    made = api.subscription_schedules.create(
        {"customer": carol.id, "phases": [month, {**month, **own}], "default_settings": defaults}
    )
    running = subscription_of(api, made)
    assert (running.collection_method, running.days_until_due, running.description) == ("send_invoice", 5, "all")
    assert running.default_payment_method == amex
    assert made.default_settings.billing_cycle_anchor == "phase_start"
    later = api.subscription_schedules.update(
        made.id,
        {
            "default_settings": {
                "description": "changed",
                "invoice_settings": {"days_until_due": 6},
                "default_payment_method": visa,
                "collection_method": "charge_automatically",
                "billing_cycle_anchor": "automatic",
            }
        },
    )
    changed = subscription_of(api, later)
    assert (changed.description, changed.days_until_due, changed.default_payment_method) == ("changed", 6, visa)
    assert (changed.collection_method, later.default_settings.billing_cycle_anchor) == (
        "charge_automatically",
        "automatic",
    )
    advance(api, clock, days=29)
    second = subscription_of(api, made)
    assert (second.collection_method, second.days_until_due, second.description) == ("send_invoice", 9, "own")
    assert second.default_payment_method == master


def test_a_phase_may_begin_a_new_billing_cycle(api: Any, clock: Any, carol: Any, gold: Any) -> None:
    """billing_cycle_anchor=phase_start (docs.stripe.com/api/subscription_schedules/create)"""
    first = {"items": [{"price": gold.id}], "end_date": at(2, 14)}
    phases = [first, {"items": [{"price": gold.id, "quantity": 2}], "billing_cycle_anchor": "phase_start"}]
    made = api.subscription_schedules.create({"customer": carol.id, "phases": phases})
    advance(api, clock, days=15)
    running = subscription_of(api, made)
    assert (running.billing_cycle_anchor, running["items"].data[0].current_period_end) == (at(2, 14), at(3, 14))
    assert totals(api, made) == [1000, 2000 - 500]
    second = {"items": [{"price": gold.id, "quantity": 2}], "proration_behavior": "none"}
    plain = {"customer": carol.id, "phases": [first | {"end_date": at(3, 1)}, second]}
    defaults = {"billing_cycle_anchor": "phase_start"}
    other = api.subscription_schedules.create({**plain, "default_settings": defaults})
    advance(api, clock, days=15)
    assert (subscription_of(api, other).billing_cycle_anchor, totals(api, other)) == (at(3, 1), [1000, 2000])
