"""Discounts of customers, which every bill has that has none of its own, and discounts of single items.

https://docs.stripe.com/billing/subscriptions/coupons
"""

from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import advance
from tests.sandbox.conftest import Sandbox
from tests.sandbox.hosted import submit

OLD = {"Stripe_Version": "2024-06-20"}  # 2025-03-31.basil removed `coupon` and `promotion_code` of customers


def newest(api: Any, subscription: Any) -> Any:
    return api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]


@pytest.fixture
def half(api: Any) -> Any:
    return api.coupons.create({"percent_off": 50, "duration": "forever"})


@pytest.fixture
def halved(api: Any, sandbox: Sandbox, bob: Any, half: Any) -> Any:
    """Bob, at half price."""
    assert sandbox.post(f"/v1/customers/{bob.id}", {"coupon": half.id}, **OLD).ok
    return api.customers.retrieve(bob.id)


def test_old_versions_give_a_customer_a_discount(
    api: Any, sandbox: Sandbox, hook: Any, bob: Any, half: Any
) -> None:
    made = sandbox.post("/v1/customers", {"coupon": half.id}, **OLD).json()
    assert made["discount"]["source"]["coupon"] == half.id
    tenth = api.coupons.create({"percent_off": 10, "duration": "repeating", "duration_in_months": 2})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": tenth.id}})
    coded = sandbox.post("/v1/customers", {"promotion_code": code.id}, **OLD).json()
    assert coded["discount"]["promotion_code"] == code.id
    first = sandbox.post(f"/v1/customers/{bob.id}", {"coupon": half.id}, **OLD).json()["discount"]
    assert (first["customer"], first["subscription"], first["end"]) == (bob.id, None, None)
    second = sandbox.post(f"/v1/customers/{bob.id}", {"promotion_code": code.id}, **OLD).json()["discount"]
    assert second["end"] > second["start"]
    assert api.promotion_codes.retrieve(code.id).times_redeemed == 2
    assert api.customers.retrieve(bob.id).discount.id == second["id"]
    assert sandbox.post(f"/v1/customers/{bob.id}", {"coupon": ""}, **OLD).json()["discount"] is None
    sandbox.config("deliveries/flush")
    assert first["id"] in hook.objects("customer.discount.created")
    assert second["id"] in hook.objects("customer.discount.updated")
    assert second["id"] in hook.objects("customer.discount.deleted")
    refused = sandbox.post(f"/v1/customers/{bob.id}", {"coupon": half.id}, Stripe_Version="2025-03-31.basil")
    assert refused.json()["error"]["code"] == "parameter_unknown"


def test_a_customers_discount_counts_on_every_bill_until_it_is_removed(
    api: Any, sandbox: Sandbox, clock: Any, carol: Any, monthly: Any, half: Any
) -> None:
    sandbox.post(f"/v1/customers/{carol.id}", {"coupon": half.id}, **OLD)
    own = api.customers.retrieve(carol.id).discount.id
    asked = {"customer": carol.id, "subscription_details": {"items": [{"price": monthly.id}]}}
    assert api.invoices.create_preview(asked).total == 2499
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    assert (made.discounts, newest(api, made).total, newest(api, made).discounts) == ([], 2499, [own])
    # What is not used is given back at what was paid.
    advance(api, clock, days=14)
    cancel = {"subscription": made.id, "subscription_details": {"cancel_now": True}}
    assert api.invoices.create_preview(cancel).total == -1250
    more = {"items": [{"id": made["items"].data[0].id, "quantity": 2}]}
    assert (
        api.invoices.create_preview({"subscription": made.id, "subscription_details": more}).total == 4999 + 1250
    )
    assert api.invoices.create_preview({"subscription": made.id}).total == 2499
    assert api.invoices.create_preview({"subscription": made.id, "discounts": ""}).total == 4999
    advance(api, clock, days=15)
    assert (newest(api, made).total, newest(api, made).discounts) == (2499, [own])
    assert api.customers.delete_discount(carol.id).deleted
    assert api.customers.retrieve(carol.id).discount is None
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.customers.delete_discount(carol.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_a_discount_of_the_bill_comes_first(api: Any, halved: Any, monthly: Any) -> None:
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"})
    terms = {"customer": halved.id, "items": [{"price": monthly.id}], "discounts": [{"coupon": tenth.id}]}
    made = api.subscriptions.create(terms)
    assert newest(api, made).total == 4999 - 500
    # "If empty string, it clears the subscription's discounts"; the customer's then counts again.
    api.subscriptions.update(made.id, {"discounts": ""})
    assert api.invoices.create_preview({"subscription": made.id}).total == 2499
    api.subscriptions.update(made.id, {"discounts": [{"discount": halved.discount.id}]})
    assert api.subscriptions.retrieve(made.id).discounts == [halved.discount.id]


def test_an_invoice_inherits_its_customers_discount(api: Any, halved: Any) -> None:
    """docs.stripe.com/api/invoices/create: "If not specified, inherits the discount from the [...] customer." """
    tenth = {"coupon": api.coupons.create({"percent_off": 10}).id}
    own = {"discount": halved.discount.id}
    bills = [
        ({}, 500),
        ({"discounts": ""}, 1000),
        ({"discounts": [tenth]}, 900),
        ({"discounts": [own, tenth]}, 450),
    ]
    for given, total in bills:
        item = api.invoice_items.create({"customer": halved.id, "amount": 1000, "currency": "usd"})
        assert api.invoices.create_preview({"customer": halved.id, **given}).total == total
        draft = api.invoices.create({"customer": halved.id, "pending_invoice_items_behavior": "include", **given})
        assert (draft.total, draft.lines.data[0].parent.invoice_item_details.invoice_item) == (total, item.id)


def test_a_discount_for_one_bill_is_used_up_by_it(
    api: Any, sandbox: Sandbox, hook: Any, bob: Any, monthly: Any
) -> None:
    once = api.coupons.create({"percent_off": 50, "duration": "once"})
    sandbox.post(f"/v1/customers/{bob.id}", {"coupon": once.id}, **OLD)
    own = api.customers.retrieve(bob.id).discount.id
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    assert newest(api, made).total == 2499
    assert api.customers.retrieve(bob.id).discount is None
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999
    sandbox.config("deliveries/flush")
    assert own in hook.objects("customer.discount.deleted")


def test_a_discount_of_months_ends_with_them(
    api: Any, sandbox: Sandbox, clock: Any, carol: Any, monthly: Any
) -> None:
    two = api.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 2})
    sandbox.post(f"/v1/customers/{carol.id}", {"coupon": two.id}, **OLD)
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    for _ in range(2):
        advance(api, clock, days=30)
    totals = [one.total for one in api.invoices.list({"subscription": made.id}).data]
    assert (totals, api.customers.retrieve(carol.id).discount) == ([4999, 2499, 2499], None)
    events = api.events.list({"type": "customer.discount.deleted", "limit": 1}).data
    assert events[0].data.object.customer == carol.id


def test_checkout_knows_the_customers_discount(api: Any, begin: Any, halved: Any, monthly: Any) -> None:
    session = begin("subscription", monthly, customer=halved.id)
    assert session.amount_total == 2499
    submit(session.url)
    done = api.checkout.sessions.retrieve(session.id, {"expand": ["invoice"]})
    assert (done.amount_total, done.invoice.amount_paid) == (2499, 2499)


def test_an_amount_off_in_another_currency_is_ignored(api: Any, sandbox: Sandbox, bob: Any, product: Any) -> None:
    """https://docs.stripe.com/invoicing/multi-currency-customers: "amount-off coupons [...] are ignored" """
    off = api.coupons.create({"amount_off": 300, "currency": "usd", "duration": "once"})
    sandbox.post(f"/v1/customers/{bob.id}", {"coupon": off.id}, **OLD)
    for currency, total in (("cad", 1000), ("usd", 700)):
        api.invoice_items.create({"customer": bob.id, "amount": 1000, "currency": currency})
        assert api.invoices.create_preview({"customer": bob.id, "currency": currency}).total == total


def test_items_have_discounts_of_their_own(api: Any, clock: Any, carol: Any, product: Any, half: Any) -> None:
    """Those of items come before those of the bill: https://docs.stripe.com/billing/subscriptions/coupons"""
    terms = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}}
    plan, seat = (api.prices.create({**terms, "unit_amount": amount}) for amount in (10000, 2000))
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": half.id}})
    items = [{"price": plan.id}, {"price": seat.id, "discounts": [{"promotion_code": code.id}]}]
    asked = {"customer": carol.id, "subscription_details": {"items": items}}
    preview = api.invoices.create_preview({**asked, "discounts": [{"coupon": tenth.id}]})
    made = api.subscriptions.create({"customer": carol.id, "items": items, "discounts": [{"coupon": tenth.id}]})
    bill, [own] = newest(api, made), made["items"].data[1].discounts
    assert (bill.total, preview.total) == (9000 + 900, 9900)
    seats = next(line for line in bill.lines.data if line.discounts)
    assert [(part.amount, part.discount) for part in seats.discount_amounts] == [
        (1000, own),
        (100, made.discounts[0]),
    ]
    changed = {"id": made["items"].data[0].id, "discounts": [{"coupon": half.id}]}
    cleared = {"id": made["items"].data[1].id, "discounts": ""}
    asked = {"subscription": made.id, "subscription_details": {"items": [changed, cleared]}}
    assert api.invoices.create_preview(asked).total == (5000 + 2000) * 0.9
    api.subscriptions.update(made.id, {"items": [changed, cleared]})
    assert api.events.list({"type": "customer.discount.deleted", "limit": 1}).data[0].data.object.id == own
    advance(api, clock, days=29)
    assert newest(api, made).total == (5000 + 2000) * 0.9
    kept = {"id": cleared["id"], "discounts": [{"discount": made.discounts[0]}]}
    api.subscriptions.update(made.id, {"items": [kept]})
    assert api.invoices.create_preview({"subscription": made.id}).total == (5000 + 1800) * 0.9


def test_an_item_of_an_api_call_has_discounts(api: Any, bob: Any, monthly: Any, product: Any, half: Any) -> None:
    terms = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}, "unit_amount": 2000}
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    now = {"proration_behavior": "none", "discounts": [{"coupon": half.id}]}
    price = api.prices.create(terms).id
    item = api.subscription_items.create({"subscription": made.id, "price": price, "quantity": 1, **now})
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999 + 1000
    api.subscription_items.update(item.id, {"discounts": ""})
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999 + 2000
    api.subscription_items.update(item.id, {"discounts": [{"coupon": half.id}]})
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999 + 1000


def test_an_invoice_item_has_discounts(api: Any, bob: Any, half: Any) -> None:
    tenth = api.coupons.create({"percent_off": 10})
    for discounts in ([{"coupon": half.id}], [{"coupon": half.id}, {"coupon": tenth.id}]):
        terms = {"customer": bob.id, "amount": 1000, "currency": "usd", "discounts": discounts}
        item = api.invoice_items.create(terms)
    assert api.invoices.create_preview({"customer": bob.id}).total == 500 + 450
    api.invoice_items.update(item.id, {"discounts": ""})
    assert api.invoices.create_preview({"customer": bob.id}).total == 500 + 1000
    api.invoice_items.update(item.id, {"discounts": [{"coupon": tenth.id}]})
    assert api.invoices.create_preview({"customer": bob.id}).total == 500 + 900
