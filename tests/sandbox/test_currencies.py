"""Prices, coupons and balances in several currencies.

https://docs.stripe.com/products-prices/manage-prices and
https://docs.stripe.com/invoicing/multi-currency-customers
"""

from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import advance
from tests.sandbox.hosted import submit, visit

DAY = 86400
MONTHLY = {"interval": "month"}


def newest(api: Any, subscription: Any) -> Any:
    return api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]


@pytest.fixture
def price(api: Any, product: Any) -> Any:
    """$10, €9.50 or ¥1500 a month."""
    others = {"eur": {"unit_amount": 950, "tax_behavior": "inclusive"}, "jpy": {"unit_amount_decimal": "1500"}}
    terms = {"currency": "usd", "unit_amount": 1000, "recurring": MONTHLY, "currency_options": others}
    return api.prices.create({"product": product.id, **terms})


def test_a_price_has_an_amount_in_each_currency(api: Any, price: Any, product: Any) -> None:
    """currency_options are sent on request only: docs.stripe.com/products-prices/manage-prices"""
    assert "currency_options" not in price
    found = api.prices.retrieve(price.id, {"expand": ["currency_options"]}).currency_options
    assert {name: one["unit_amount"] for name, one in found.to_dict().items()} == {
        "usd": 1000,
        "eur": 950,
        "jpy": 1500,
    }
    assert found["eur"].tax_behavior == "inclusive"
    changed = api.prices.update(
        price.id,
        {
            "currency_options": {
                "eur": {"unit_amount": 990, "tax_behavior": "exclusive"},
                "chf": {"unit_amount_decimal": "1050.5"},
            },
            "expand": ["currency_options"],
        },
    ).currency_options
    assert (changed["eur"].unit_amount, changed["eur"].tax_behavior) == (990, "exclusive")
    assert (changed["jpy"].unit_amount, str(changed["chf"].unit_amount_decimal)) == (1500, "1050.5")
    cleared = api.prices.update(price.id, {"currency_options": "", "expand": ["currency_options"]})
    assert list(cleared.currency_options.to_dict()) == ["usd"]
    for wrong in ({"usd": {"unit_amount": 1}}, {"xyz": {"unit_amount": 1}}, {"kwd": {"unit_amount": 5}}):
        with pytest.raises(stripe.InvalidRequestError):
            api.prices.update(price.id, {"currency_options": wrong})


@pytest.mark.parametrize(("currency", "total"), [("eur", 1900), ("jpy", 3000), ("usd", 2000)])
def test_a_subscription_is_billed_in_its_currency(
    api: Any, clock: Any, carol: Any, price: Any, currency: str, total: int
) -> None:
    items = [{"price": price.id, "quantity": 2}]
    shown = api.invoices.create_preview(
        {"customer": carol.id, "currency": currency, "subscription_details": {"items": items}}
    )
    made = api.subscriptions.create({"customer": carol.id, "items": items, "currency": currency})
    first = newest(api, made)
    assert (made.currency, first.currency, first.total, shown.total) == (currency, currency, total, total)
    assert first.lines.data[0].currency == currency
    assert int(first.lines.data[0].pricing.unit_amount_decimal) * 2 == total
    more = {"items": [{"id": made["items"].data[0].id, "quantity": 3}], "proration_behavior": "always_invoice"}
    api.subscriptions.update(made.id, more)
    assert [line.amount for line in newest(api, made).lines.data] == [-total, total * 3 // 2]
    advance(api, clock, days=29)
    assert (newest(api, made).currency, newest(api, made).total) == (currency, total * 3 // 2)
    assert api.customers.retrieve(carol.id).currency == currency


def test_a_subscription_has_its_customers_currency_if_the_price_has_it(
    api: Any, carol: Any, bob: Any, price: Any
) -> None:
    api.invoice_items.create({"customer": bob.id, "amount": 100, "currency": "eur"})
    assert api.customers.retrieve(bob.id).currency == "eur"
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": price.id}]})
    assert (made.currency, newest(api, made).total) == ("eur", 950 + 100)
    with pytest.raises(stripe.InvalidRequestError, match="cannot combine currencies"):
        api.subscriptions.create({"customer": bob.id, "items": [{"price": price.id}], "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="only supports `usd, eur, jpy`"):
        api.subscriptions.create({"customer": carol.id, "items": [{"price": price.id}], "currency": "gbp"})


def test_tiers_have_amounts_in_each_currency(api: Any, bob: Any, product: Any) -> None:
    """The tiers of https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing, in euros at half"""
    dollars = [{"unit_amount": 700, "up_to": 5}, {"unit_amount": 650, "flat_amount": 100, "up_to": "inf"}]
    euros = [
        {"unit_amount_decimal": "350.0", "up_to": 5},
        {"unit_amount": 325, "flat_amount_decimal": "50", "up_to": 10},
        {"unit_amount": 300, "flat_amount": 25, "up_to": "inf"},
    ]
    scheme = {"billing_scheme": "tiered", "tiers_mode": "graduated", "recurring": MONTHLY}
    price = api.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "tiers": dollars,
            "currency_options": {"eur": {"tiers": euros}},
            **scheme,
            "expand": ["currency_options"],
        }
    )
    assert [tier.unit_amount for tier in price.currency_options["eur"].tiers] == [350, 325, 300]
    made = api.subscriptions.create(
        {"customer": bob.id, "items": [{"price": price.id, "quantity": 11}], "currency": "eur"}
    )
    assert newest(api, made).total == 5 * 350 + 5 * 325 + 50 + 300 + 25
    with pytest.raises(stripe.InvalidRequestError, match="last with `inf`"):
        api.prices.update(price.id, {"currency_options": {"gbp": {"tiers": euros[:1]}}})
    changed = api.prices.update(
        price.id, {"currency_options": {"gbp": {"tiers": euros}}, "expand": ["currency_options"]}
    )
    found = [(tier.unit_amount, tier.flat_amount) for tier in changed.currency_options["gbp"].tiers]
    assert found == [(350, None), (325, 50), (300, 25)]


def test_checkout_sells_in_the_currency_asked_for(api: Any, begin: Any, price: Any) -> None:
    session = begin("subscription", price, currency="eur")
    assert (session.currency, session.amount_total) == ("eur", 950)
    assert "€9.50" in visit(session.url).text
    submit(session.url)
    done = api.checkout.sessions.retrieve(session.id, {"expand": ["invoice", "subscription", "line_items"]})
    assert (done.invoice.currency, done.invoice.amount_paid, done.subscription.currency) == ("eur", 950, "eur")
    assert (done.line_items.data[0].amount_total, done.line_items.data[0].currency) == (950, "eur")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        begin("subscription", price, currency="gbp")
    assert refused.value.param == "currency"
    link = api.payment_links.create({"line_items": [{"price": price.id, "quantity": 1}], "currency": "jpy"})
    page = visit(link.url)
    assert (link.currency, "JPY 1,500" in page.text) == ("jpy", True)


def test_a_default_price_may_have_several_currencies(api: Any) -> None:
    price = {"currency": "usd", "unit_amount": 700, "currency_options": {"eur": {"unit_amount": 650}}}
    made = api.products.create({"name": "Pen", "default_price_data": price})
    found = api.prices.retrieve(made.default_price, {"expand": ["currency_options"]})
    assert found.currency_options["eur"].unit_amount == 650


def test_one_invoice_may_have_another_currency(api: Any, bob: Any, price: Any, product: Any) -> None:
    """A CAD invoice applies no balance in USD: https://docs.stripe.com/invoicing/multi-currency-customers"""
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": price.id}]})
    assert made.currency == "usd"
    booked = api.customers.balance_transactions.create(bob.id, {"amount": -500, "currency": "usd"})
    assert booked.ending_balance == -500
    other = api.customers.balance_transactions.create(bob.id, {"amount": -300, "currency": "cad"})
    assert (other.currency, other.ending_balance) == ("cad", -300)
    once = {"currency": "usd", "unit_amount": 2000, "currency_options": {"cad": {"unit_amount": 2700}}}
    seat = api.prices.create({"product": product.id, **once})
    for currency in ("usd", "cad"):
        api.invoice_items.create({"customer": bob.id, "pricing": {"price": seat.id}, "currency": currency})
    terms = {"currency": "cad", "pending_invoice_items_behavior": "include"}
    draft = api.invoices.create({"customer": bob.id, **terms})
    assert [line.amount for line in draft.lines.data] == [2700]
    invoice = api.invoices.finalize_invoice(draft.id)
    assert (invoice.total, invoice.amount_due, invoice.starting_balance) == (2700, 2400, -300)
    found = api.customers.retrieve(bob.id, {"expand": ["invoice_credit_balance"]})
    assert (found.currency, found.balance) == ("usd", -500)
    assert found.invoice_credit_balance.to_dict() == {"usd": 500, "cad": 0}
    note = api.credit_notes.create(
        {"invoice": api.invoices.pay(invoice.id).id, "amount": 1000, "credit_amount": 1000}
    )
    booked = api.customers.balance_transactions.retrieve(bob.id, note.customer_balance_transaction)
    assert (booked.currency, booked.amount, booked.ending_balance) == ("cad", -1000, -1000)
    assert api.customers.retrieve(bob.id).balance == -500


def test_the_default_currency_changes_with_a_subscription_once_the_last_has_ended(
    api: Any, bob: Any, price: Any
) -> None:
    """https://support.stripe.com/questions/setting-a-customers-default-currency"""
    items = [{"price": price.id}]
    made = api.subscriptions.create({"customer": bob.id, "items": items})
    api.customers.balance_transactions.create(bob.id, {"amount": -400, "currency": "usd"})
    api.subscriptions.cancel(made.id)
    api.subscriptions.create({"customer": bob.id, "items": items, "currency": "eur"})
    found = api.customers.retrieve(bob.id, {"expand": ["invoice_credit_balance"]})
    assert (found.currency, found.balance) == ("eur", 0)
    assert found.invoice_credit_balance.to_dict() == {"eur": 0, "usd": 400}


def test_what_was_applied_of_a_balance_comes_back_with_a_voided_invoice(api: Any, bob: Any) -> None:
    """unapplied_from_invoice: https://docs.stripe.com/billing/customer/balance"""
    api.customers.balance_transactions.create(bob.id, {"amount": -500, "currency": "usd"})
    draft = api.invoices.create({"customer": bob.id})
    api.invoice_items.create({"customer": bob.id, "invoice": draft.id, "amount": 800, "currency": "usd"})
    invoice = api.invoices.finalize_invoice(draft.id)
    assert (invoice.amount_due, api.customers.retrieve(bob.id).balance) == (300, 0)
    api.invoices.void_invoice(invoice.id)
    assert api.customers.retrieve(bob.id).balance == -500
    kinds = [one.type for one in api.customers.balance_transactions.list(bob.id, {"invoice": invoice.id}).data]
    assert kinds == ["unapplied_from_invoice", "applied_to_invoice"]


def test_a_total_below_the_minimum_is_owed_with_the_next_invoice(api: Any, bob: Any) -> None:
    """invoice_too_small: https://docs.stripe.com/billing/customer/balance"""
    for amount in (20, 800):
        draft = api.invoices.create({"customer": bob.id})
        api.invoice_items.create({"customer": bob.id, "invoice": draft.id, "amount": amount, "currency": "usd"})
        invoice = api.invoices.finalize_invoice(draft.id)
        assert (invoice.amount_due, invoice.status) == ((0, "paid") if amount == 20 else (820, "open"))
    booked = api.customers.balance_transactions.list(bob.id).data
    assert [(one.type, one.amount) for one in booked] == [("applied_to_invoice", -20), ("invoice_too_small", 20)]


def test_a_code_has_a_minimum_in_each_currency(api: Any, bob: Any, alice: Any, price: Any) -> None:
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"})
    least = {"minimum_amount": 900, "minimum_amount_currency": "usd"}
    least |= {"currency_options": {"eur": {"minimum_amount": 1000}}}
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": tenth.id}, "restrictions": least})
    asked = {"items": [{"price": price.id}], "discounts": [{"promotion_code": code.id}]}
    for currency, words in (("eur", "for larger purchases"), ("jpy", "for other currencies")):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            api.subscriptions.create({"customer": bob.id, "currency": currency, **asked})
    made = api.subscriptions.create({"customer": bob.id, **asked})
    assert newest(api, made).total == 900


def test_a_fixed_sum_gets_another_currency_later(api: Any, bob: Any, price: Any) -> None:
    off = api.coupons.create({"amount_off": 100, "currency": "usd", "duration": "once"})
    asked = {"items": [{"price": price.id}], "discounts": [{"coupon": off.id}], "currency": "eur"}
    with pytest.raises(stripe.InvalidRequestError, match="cannot be used with eur"):
        api.subscriptions.create({"customer": bob.id, **asked})
    api.coupons.update(off.id, {"currency_options": {"eur": {"amount_off": 50}}})
    made = api.subscriptions.create({"customer": bob.id, **asked})
    assert newest(api, made).total == 900
