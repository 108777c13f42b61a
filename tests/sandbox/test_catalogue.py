"""Products, prices, coupons, codes: their fields decide what can be bought, and for how much."""

import time
from typing import Any

import pytest
import stripe


def refusal(call: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call()
    return caught.value


def test_a_product_comes_with_its_default_price(api: Any) -> None:
    terms = {"currency": "usd", "unit_amount": 900, "recurring": {"interval": "week"}}
    words = {"id": f"prod_{time.time_ns()}", "name": "Tea", "description": "green", "metadata": {"k": "v"}}
    made = api.products.create({**words, "active": False, "default_price_data": terms})
    assert (made.id, made.active, made.description, made.metadata.k) == (words["id"], False, "green", "v")
    price = api.prices.retrieve(made.default_price)
    assert (price.unit_amount, price.recurring.interval, price.product) == (900, "week", made.id)


def test_a_product_is_changed_and_named_so_on_invoices(api: Any, product: Any, once: Any, alice: Any) -> None:
    changes = {
        "name": "Newer",
        "description": "d",
        "metadata": {"a": "b"},
        "active": True,
        "default_price": once.id,
    }
    changed = api.products.update(product.id, changes)
    assert (changed.description, changed.metadata.a, changed.default_price) == ("d", "b", once.id)
    item = api.invoice_items.create({"customer": alice.id, "pricing": {"price": once.id}})
    assert item.description == "Newer"


def test_products_and_prices_are_found(api: Any, product: Any, monthly: Any, once: Any) -> None:
    off = api.products.create({"name": "Off", "active": False})
    assert off.id in [one.id for one in api.products.list({"active": False}).data]
    assert [one.id for one in api.products.list({"ids": [off.id]}).data] == [off.id]
    here = {"product": product.id}
    api.prices.update(once.id, {"active": False})
    assert ids(api.prices.list(here | {"active": False})) == [once.id]
    assert ids(api.prices.list(here | {"type": "recurring"})) == [monthly.id]
    assert ids(api.prices.list(here | {"currency": "eur"})) == []
    assert ids(api.prices.list(here | {"recurring": {"interval": "month"}})) == [monthly.id]
    assert ids(api.prices.list(here | {"recurring": {"usage_type": "metered"}})) == []


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def test_a_price_says_how_often_and_can_be_withdrawn(api: Any, alice: Any) -> None:
    cycle = {"interval": "month", "interval_count": 3}
    made = api.prices.create(
        {
            "currency": "usd",
            "unit_amount": 3000,
            "billing_scheme": "per_unit",
            "nickname": "quarterly",
            "metadata": {"k": "v"},
            "recurring": cycle,
            "product_data": {"name": "Quarter"},
            "active": True,
        }
    )
    assert (made.nickname, made.metadata.k) == ("quarterly", "v")
    terms = {"customer": alice.id, "items": [{"price": made.id}], "payment_behavior": "default_incomplete"}
    item = api.subscriptions.create(terms)["items"].data[0]
    assert 88 <= (item.current_period_end - item.current_period_start) / 86400 <= 93
    other = api.prices.create({"currency": "usd", "unit_amount": 1, "lookup_key": "q", "product": made.product})
    changes = {"lookup_key": "q", "transfer_lookup_key": True, "nickname": "n", "metadata": {"x": "y"}}
    changed = api.prices.update(made.id, {**changes, "active": False})
    assert (changed.lookup_key, changed.nickname, changed.metadata.x) == ("q", "n", "y")
    assert api.prices.retrieve(other.id).lookup_key is None
    assert "inactive" in str(refusal(lambda: api.subscriptions.create(terms)))


def test_a_coupon_holds_for_its_products_its_uses_and_its_time(
    api: Any, alice: Any, product: Any, once: Any
) -> None:
    other = api.products.create({"name": "Other"})
    named = {"id": f"C{time.time_ns()}", "metadata": {"a": "1"}, "max_redemptions": 1}
    made = api.coupons.create({"percent_off": 50, "applies_to": {"products": [product.id]}, **named})
    assert (made.id, made.metadata.a) == (named["id"], "1")
    data = {"currency": "usd", "product": other.id, "unit_amount": 1000}
    invoice = api.invoices.create({"customer": alice.id, "discounts": [{"coupon": made.id}]})
    api.invoice_items.create({"customer": alice.id, "invoice": invoice.id, "price_data": data})
    api.invoice_items.create({"customer": alice.id, "invoice": invoice.id, "pricing": {"price": once.id}})
    assert api.invoices.retrieve(invoice.id).total == 1000 + 750
    again = refusal(lambda: api.invoices.create({"customer": alice.id, "discounts": [{"coupon": made.id}]}))
    assert again.code == "coupon_expired"
    changed = api.coupons.update(made.id, {"name": "Half", "metadata": {"b": "2"}})
    assert (changed.name, changed.metadata.to_dict()) == ("Half", {"a": "1", "b": "2"})
    soon = api.coupons.create({"percent_off": 5, "redeem_by": int(time.time()) + 1})
    time.sleep(1.1)
    late = refusal(lambda: api.invoices.create({"customer": alice.id, "discounts": [{"coupon": soon.id}]}))
    assert late.code == "coupon_expired"


def test_a_promotion_code_has_its_own_limits(api: Any, alice: Any, monthly: Any) -> None:
    coupon = api.coupons.create({"percent_off": 20, "duration": "forever"})
    promotion = {"type": "coupon", "coupon": coupon.id}
    code = f"LIMIT{time.time_ns()}"
    rules = {"first_time_transaction": True, "minimum_amount": 100000, "minimum_amount_currency": "usd"}
    made = api.promotion_codes.create(
        {
            "promotion": promotion,
            "code": code,
            "metadata": {"a": "1"},
            "max_redemptions": 1,
            "expires_at": int(time.time()) + 3600,
            "restrictions": rules,
            "customer": alice.id,
            "active": True,
        }
    )
    assert (made.restrictions.minimum_amount, made.restrictions.first_time_transaction) == (100000, True)
    terms = {"customer": alice.id, "items": [{"price": monthly.id}], "payment_behavior": "default_incomplete"}
    too_small = refusal(lambda: api.subscriptions.create({**terms, "discounts": [{"promotion_code": made.id}]}))
    assert "larger" in str(too_small)
    plain = {"promotion": promotion, "max_redemptions": 1}
    usable = api.promotion_codes.create({**plain, "expires_at": int(time.time()) + 3600})
    taken = api.subscriptions.create({**terms, "discounts": [{"promotion_code": usable.id}]})
    assert api.invoices.retrieve(taken.latest_invoice).total == 3999
    used_up = refusal(lambda: api.subscriptions.create({**terms, "discounts": [{"promotion_code": usable.id}]}))
    assert used_up.code == "promotion_code_inactive"
    assert api.promotion_codes.update(made.id, {"metadata": {"b": "2"}}).metadata.to_dict() == {"a": "1", "b": "2"}
    assert ids(api.promotion_codes.list({"code": code})) == [made.id]
    assert ids(api.promotion_codes.list({"coupon": coupon.id, "active": True})) == [made.id]
    assert ids(api.promotion_codes.list({"customer": alice.id})) == [made.id]


def test_a_meter_reads_the_keys_that_it_names(api: Any, alice: Any) -> None:
    name = f"calls_{time.time_ns()}"
    made = api.billing.meters.create(
        {
            "display_name": "Calls",
            "event_name": name,
            "default_aggregation": {"formula": "sum"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "who"},
            "value_settings": {"event_payload_key": "how_many"},
        }
    )
    api.billing.meter_events.create({"event_name": name, "payload": {"who": alice.id, "how_many": "7"}})
    now = int(time.time()) // 60 * 60
    bounds = {"customer": alice.id, "start_time": now - 60, "end_time": now + 120}
    assert api.billing.meters.event_summaries.list(made.id, bounds).data[0].aggregated_value == 7
    assert api.billing.meters.update(made.id, {"display_name": "Ring"}).display_name == "Ring"
    api.billing.meters.deactivate(made.id)
    assert made.id in ids(api.billing.meters.list({"status": "inactive", "limit": 100}))
    assert made.id not in ids(api.billing.meters.list({"status": "active", "limit": 100}))
