"""Checks that apply to every write."""

import time
from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import START, advance
from tests.sandbox.conftest import Sandbox
from tests.sandbox.hosted import visit


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [
        ("customers", {f"metadata[k{n}]": "v" for n in range(51)}, "metadata"),
        ("customers", {f"metadata[{'k' * 41}]": "v"}, "metadata"),
        ("customers", {"metadata[k]": "v" * 501}, "metadata[k]"),
        ("customers", {"email": "nobody"}, "email"),
        ("webhook_endpoints", {"url": "shop.example", "enabled_events[0]": "*"}, "url"),
        ("payment_intents", {"amount": "100", "currency": "xyz"}, "currency"),
        ("payment_intents", {"amount": "100000000", "currency": "usd"}, "amount"),
        ("payment_intents", {"amount": "49", "currency": "usd"}, "amount"),
        ("payment_intents", {"amount": "29", "currency": "gbp"}, "amount"),
        (
            "prices",
            {"currency": "usd", "unit_amount": "1", "product_data[name]": "A"}
            | {"recurring[interval]": "month", "recurring[interval_count]": "37"},
            "recurring[interval_count]",
        ),
    ],
)
def test_what_can_not_be_right_is_refused(sandbox: Sandbox, path: str, params: dict[str, str], param: str) -> None:
    answer = sandbox.post(f"/v1/{path}", params)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_limits_themselves_are_taken(api: Any) -> None:
    """https://docs.stripe.com/metadata and https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts"""
    full = {f"{'k' * 38}{n:02}": "v" * 500 for n in range(50)}
    assert len(api.customers.create({"metadata": full}).metadata.to_dict()) == 50
    for currency, amount in (("usd", 50), ("gbp", 30), ("usd", 99_999_999)):
        assert api.payment_intents.create({"amount": amount, "currency": currency}).amount == amount


def test_a_list_of_what_never_existed_is_refused(api: Any) -> None:
    for call in (api.invoices.list, api.subscriptions.list, api.payment_methods.list, api.charges.list):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call({"customer": "cus_never"})
        assert (refused.value.http_status, refused.value.code) == (400, "resource_missing")


def test_a_card_serves_its_own_customer_and_never_again_once_detached(
    api: Any, alice: Any, bob: Any, monthly: Any
) -> None:
    card = api.payment_methods.attach("pm_card_visa", {"customer": alice.id}).id
    terms = {"amount": 100, "currency": "usd", "confirm": True, "payment_method": card}
    with pytest.raises(stripe.InvalidRequestError, match="another customer"):
        api.payment_intents.create({**terms, "customer": bob.id})
    plan = {"items": [{"price": monthly.id}], "default_payment_method": card}
    with pytest.raises(stripe.InvalidRequestError, match="another customer"):
        api.subscriptions.create({"customer": bob.id, **plan})
    api.payment_methods.detach(card)
    for call in (
        lambda: api.payment_intents.create({**terms, "customer": alice.id}),
        lambda: api.payment_methods.attach(card, {"customer": alice.id}),
        lambda: api.subscriptions.create({"customer": alice.id, **plan}),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            call()


def test_a_subscription_has_one_currency_and_each_price_once(
    api: Any, bob: Any, monthly: Any, product: Any
) -> None:
    terms = {"unit_amount": 1000, "currency": "eur", "recurring": {"interval": "month"}}
    euros = api.prices.create({"product": product.id, **terms})
    for items, words in (
        ([{"price": monthly.id}, {"price": euros.id}], "expected currency"),
        ([{"price": monthly.id}, {"price": monthly.id}], "the same price"),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            api.subscriptions.create({"customer": bob.id, "items": items})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    with pytest.raises(stripe.InvalidRequestError, match="expected currency"):
        api.subscription_items.create({"subscription": made.id, "price": euros.id})


def test_thousandths_end_with_a_nought(api: Any, product: Any, begin: Any) -> None:
    """https://docs.stripe.com/currencies#three-decimal: the last digit of a thousandth must be 0"""
    terms = {"product": product.id, "currency": "kwd"}
    with pytest.raises(stripe.InvalidRequestError, match="last digit must be 0"):
        api.prices.create({**terms, "unit_amount": 5124})
    price = api.prices.create({**terms, "unit_amount": 5120})
    session = begin("payment", price)
    assert "KWD 5.120" in visit(session.url).text
    with pytest.raises(stripe.InvalidRequestError, match="last digit must be 0"):
        api.payment_intents.create({"amount": 1005, "currency": "KWD"})


def test_dates_are_in_the_future(api: Any, begin: Any, carol: Any, clock: Any, monthly: Any) -> None:
    """The customer's clock says what has passed."""
    terms = {"customer": carol.id, "items": [{"price": monthly.id}]}
    made = api.subscriptions.create(terms)
    advance(api, clock, days=1)
    late, past = {"customer": carol.id, **terms}, START + 3600
    coupon = {"percent_off": 5}
    promotion = {"promotion": {"type": "coupon", "coupon": api.coupons.create(coupon).id}}
    pause = {"pause_collection": {"behavior": "void", "resumes_at": past}}
    items = {"items": [{"id": made["items"].data[0].id, "quantity": 2}]}
    trial = {"subscription_data": {"trial_end": int(time.time()) - 60}}
    for call, param in (
        (lambda: api.subscriptions.create({**late, "trial_end": past}), "trial_end"),
        (lambda: api.subscriptions.create({**late, "cancel_at": past}), "cancel_at"),
        (lambda: api.subscriptions.create({**late, "billing_cycle_anchor": past}), "billing_cycle_anchor"),
        (lambda: api.subscriptions.update(made.id, {"trial_end": past}), "trial_end"),
        (lambda: api.subscriptions.update(made.id, {"cancel_at": past}), "cancel_at"),
        (
            lambda: api.subscriptions.update(made.id, pause),
            "pause_collection[resumes_at]",
        ),
        (lambda: api.subscriptions.update(made.id, {**items, "proration_date": START - 1}), "proration_date"),
        (lambda: api.coupons.create({**coupon, "redeem_by": int(time.time()) - 60}), "redeem_by"),
        (lambda: api.promotion_codes.create({**promotion, "expires_at": int(time.time()) - 60}), "expires_at"),
        (lambda: begin("subscription", monthly, **trial), "subscription_data[trial_end]"),
        (lambda: preview(api, made, trial_end=past), "subscription_details[trial_end]"),
        (lambda: preview(api, made, cancel_at=past), "subscription_details[cancel_at]"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert refused.value.param == param


def preview(api: Any, subscription: Any, **details: Any) -> Any:
    return api.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})


def test_a_fixed_sum_is_not_taken_off_forever(api: Any) -> None:
    """https://docs.stripe.com/changelog/basil/2025-03-31/restrict-coupon-duration"""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.coupons.create({"amount_off": 100, "currency": "usd", "duration": "forever"})
    assert refused.value.param == "duration"
