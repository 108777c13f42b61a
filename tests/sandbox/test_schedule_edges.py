"""Subscription schedules that are changed before they begin, or that do not fit."""

from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import START, advance
from tests.sandbox.scheduled import at, ids, totals
from tests.sandbox.scheduled import gold as gold
from tests.sandbox.scheduled import silver as silver

DAY = 86400


def test_a_schedule_that_has_not_begun_can_be_changed_released_and_cancelled(
    api: Any, clock: Any, carol: Any, gold: Any, silver: Any
) -> None:
    def later(**more: Any) -> Any:
        month = {"items": [{"price": gold.id}], "duration": {"interval": "month"}}
        return api.subscription_schedules.create(
            {"customer": carol.id, "start_date": at(2, 15), "phases": [month], **more}
        )

    made = later()
    items = [{"price": silver.id, "quantity": 3}]
    changed = api.subscription_schedules.update(made.id, {"phases": [{"items": items, "start_date": at(2, 20)}]})
    assert (changed.status, changed.phases[0].start_date) == ("not_started", at(2, 20))
    released, cancelled = later(), later()
    freed = api.subscription_schedules.release(released.id)
    assert (freed.status, freed.subscription, freed.released_subscription) == ("released", None, None)
    assert api.subscription_schedules.cancel(cancelled.id).status == "canceled"
    asked = {"customer": carol.id}
    assert ids(api.subscription_schedules.list({**asked, "released_at": START})) == [released.id]
    assert ids(api.subscription_schedules.list({**asked, "canceled_at": {"lte": START}})) == [cancelled.id]
    advance(api, clock, days=21)
    assert totals(api, made) == [1800]
    assert len(api.subscriptions.list(asked).data) == 1


def test_an_end_set_by_a_schedule_can_be_kept(api: Any, carol: Any, gold: Any) -> None:
    for kept in (True, False):
        month = {"items": [{"price": gold.id}], "duration": {"interval": "month"}}
        made = api.subscription_schedules.create(
            {"customer": carol.id, "phases": [month], "end_behavior": "cancel"}
        )
        freed = api.subscription_schedules.release(made.id, {"preserve_cancel_date": kept})
        ends = api.subscriptions.retrieve(freed.released_subscription).cancel_at
        assert ends == (at(2, 28) if kept else None)


def test_a_phase_inherits_the_customers_discount(
    api: Any, sandbox: Any, clock: Any, carol: Any, gold: Any
) -> None:
    """docs.stripe.com/api/subscription_schedules/create: "If not specified, inherits the discount from the
    subscription's customer. Pass an empty string to avoid inheriting any discounts."
    """
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    sandbox.post(f"/v1/customers/{carol.id}", {"coupon": half.id}, Stripe_Version="2024-06-20")
    own, tenth = api.customers.retrieve(carol.id).discount.id, api.coupons.create({"percent_off": 10}).id
    month = {"items": [{"price": gold.id}], "duration": {"interval": "month"}}
    none = {**month, "discounts": ""}
    both = {**month, "discounts": [{"discount": own}, {"coupon": tenth}]}
    made = [
        api.subscription_schedules.create({"customer": carol.id, "phases": phases})
        for phases in ([month, none], [none, month], [both, month])
    ]
    advance(api, clock, days=29)
    assert [totals(api, one) for one in made] == [[500, 1000], [1000, 500], [450, 500]]


def test_phases_have_one_currency_and_must_fit(api: Any, carol: Any, product: Any, gold: Any, once: Any) -> None:
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}
    both = api.prices.create({"product": product.id, **terms, "currency_options": {"eur": {"unit_amount": 900}}})
    month = {"items": [{"price": both.id}], "duration": {"interval": "month"}}
    data = {"currency": "eur", "product": product.id, "unit_amount": 200, "recurring": {"interval": "month"}}
    phases = [{**month, "currency": "eur"}, {"items": [{"price_data": data}]}]
    made = api.subscription_schedules.create({"customer": carol.id, "phases": phases})
    assert (made.phases[1].currency, totals(api, made)) == ("eur", [900])
    for wrong, param in (
        ([{**month, "currency": "eur"}, {**month, "currency": "usd"}], "phases[1][currency]"),
        ([{**month, "end_date": at(3, 1)}], "phases[0][duration]"),
        ([{**month, "trial": True, "trial_end": at(2, 1)}], "phases[0][trial_end]"),
        ([{"items": [{"price": once.id}]}], "phases[0][items][0][price]"),
        ([{"items": [{"price": gold.id}, {"price": gold.id}]}], "phases[0][items][1][price]"),
        ([{"items": [{"price": gold.id}], "end_date": START - 1}], "phases[0][end_date]"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            api.subscription_schedules.create({"customer": carol.id, "phases": wrong})
        assert refused.value.param == param
    with pytest.raises(stripe.InvalidRequestError, match="start_date in the past"):
        api.subscription_schedules.create({"customer": carol.id, "phases": [month], "start_date": START - DAY})
