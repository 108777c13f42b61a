"""Previews of invoices with items and customers that do not exist yet.

https://docs.stripe.com/api/invoices/create_preview
"""

from typing import Any

import pytest
import stripe

PLACE = {"line1": "1 Main St", "city": "Springfield", "country": "US", "postal_code": "62701", "state": "IL"}
SPAN = {"start": 1_800_000_000, "end": 1_800_086_400}


def preview(api: Any, customer: Any, *items: dict[str, Any]) -> Any:
    return api.invoices.create_preview({"customer": customer.id, "invoice_items": list(items)})


def test_a_preview_has_items_that_are_not_there_yet(api: Any, bob: Any, monthly: Any) -> None:
    half = api.coupons.create({"percent_off": 50})
    rate = api.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 20})
    words = {"description": "setup", "metadata": {"a": "1"}, "period": SPAN, "tax_rates": [rate.id]}
    found = preview(api, bob, {"amount": 1000, "currency": "usd", "discounts": [{"coupon": half.id}], **words})
    line = found.lines.data[0]
    assert (found.total, line.description, line.metadata.a) == (600, "setup", "1")
    assert (line.period.start, line.period.end) == (SPAN["start"], SPAN["end"])
    assert api.invoice_items.list({"customer": bob.id}).data == []
    running = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    spared = {"amount": 1000, "currency": "usd", "discountable": False}
    asked = {"subscription": running.id, "discounts": [{"coupon": half.id}], "invoice_items": [spared]}
    assert api.invoices.create_preview(asked).total == 2499 + 1000


def test_items_of_a_preview_have_prices(api: Any, bob: Any, once: Any, product: Any) -> None:
    assert preview(api, bob, {"price": once.id, "quantity": 3}).total == 4500
    data = {"currency": "usd", "product": product.id}
    assert preview(api, bob, {"price_data": data | {"unit_amount": 250}, "quantity_decimal": "1.5"}).total == 375
    exact = {"price_data": data | {"unit_amount_decimal": "0.4"}, "quantity": 100}
    assert preview(api, bob, exact).total == 40
    ten = {"currency": "usd", "quantity": 10}
    assert preview(api, bob, {"unit_amount": 120, **ten}).total == 1200
    assert preview(api, bob, {"unit_amount_decimal": "120.4", **ten}).total == 1204


def test_a_preview_changes_an_item_that_waits(api: Any, bob: Any) -> None:
    item = api.invoice_items.create({"customer": bob.id, "amount": 300, "currency": "usd"})
    assert preview(api, bob, {"invoiceitem": item.id, "amount": 900}).total == 900
    assert api.invoice_items.retrieve(item.id).amount == 300


def test_a_preview_knows_a_customer_who_is_not_there_yet(api: Any, monthly: Any) -> None:
    rate = api.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 20})
    details = {"address": PLACE, "tax_ids": [{"type": "us_ein", "value": "12-3456789"}]}
    details["shipping"] = {"name": "Ann", "phone": "+15550100", "address": PLACE}
    terms = {"items": [{"price": monthly.id}], "default_tax_rates": [rate.id]}
    asked = {"customer_details": details, "subscription_details": terms}
    before = len(api.customers.list({"limit": 100}).data)
    found = api.invoices.create_preview(asked)
    assert "customer" not in found
    assert found.total == 5999
    assert (found.customer_address.city, found.customer_shipping.name) == ("Springfield", "Ann")
    assert found.customer_shipping.phone == "+15550100"
    assert [(one.type, one.value) for one in found.customer_tax_ids] == [("us_ein", "12-3456789")]
    assert api.invoices.create_preview(asked | {"customer_details": {"tax_exempt": "exempt"}}).total == 4999
    assert len(api.customers.list({"limit": 100}).data) == before


def test_a_preview_calculates_tax_with_an_address(api: Any, bob: Any, monthly: Any) -> None:
    running = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    asked = {"subscription": running.id, "automatic_tax": {"enabled": True}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.invoices.create_preview(asked)
    assert refused.value.code == "customer_tax_location_invalid"
    found = api.invoices.create_preview(asked | {"customer_details": {"address": PLACE}})
    assert found.automatic_tax.status == "complete"
    assert api.customers.retrieve(bob.id).address is None
