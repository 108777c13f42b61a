"""Coupons and promotion codes, and what else Checkout asks of a buyer: address, tax id, sometimes no card."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.sandbox.hosted import submit, visit

Begin = Callable[..., Any]
DAY = 86400


@pytest.fixture
def half(api: Any) -> Any:
    """Half price, once."""
    return api.coupons.create({"percent_off": 50, "duration": "once", "name": "Half"})


@pytest.fixture
def code(api: Any, half: Any) -> Any:
    return api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": half.id}})


def paid_by(api: Any, session: Any) -> Any:
    return api.checkout.sessions.retrieve(
        session.id, {"expand": ["invoice.discounts", "line_items", "subscription"]}
    )


def test_a_promotion_code_typed_at_checkout_lowers_the_first_bill(
    api: Any, begin: Begin, monthly: Any, half: Any, code: Any
) -> None:
    session = begin("subscription", monthly, allow_promotion_codes=True)
    wrong = submit(f"{session.url}/promotion", promotion_code="NOSUCHCODE")
    assert (wrong.status, wrong.complaints) == (422, ["This code is invalid."])
    assert submit(f"{session.url}/promotion", promotion_code=code.code.lower()).status == 303
    page = visit(session.url).text
    assert all(words in page for words in ("-$25.00", code.code, "Remove promotion code", "$24.99", "$49.99"))
    assert submit(session.url).status == 303
    done = paid_by(api, session)
    assert (done.amount_subtotal, done.amount_total, done.total_details.amount_discount) == (4999, 2499, 2500)
    assert done.discounts[0].promotion_code == code.id
    assert (done.invoice.subtotal, done.invoice.amount_paid) == (4999, 2499)
    assert done.invoice.discounts[0].source.coupon == half.id
    assert done.invoice.total_discount_amounts[0].amount == done.line_items.data[0].amount_discount == 2500
    assert done.subscription.discounts == []  # it was for one bill
    assert api.promotion_codes.retrieve(code.id).times_redeemed == 1


def test_a_code_can_be_taken_away_again(api: Any, begin: Begin, once: Any, code: Any) -> None:
    session = begin("payment", once, allow_promotion_codes=True)
    submit(f"{session.url}/promotion", promotion_code=code.code)
    assert api.checkout.sessions.retrieve(session.id).amount_total == 750
    submit(f"{session.url}/promotion", remove="yes")
    assert api.checkout.sessions.retrieve(session.id).amount_total == 1500


def test_a_coupon_given_by_the_seller_holds_for_its_months(api: Any, begin: Begin, monthly: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    dan = api.customers.create({"test_clock": clock.id, "email": "dan@example.com"})
    off = api.coupons.create(
        {"amount_off": 1000, "currency": "usd", "duration": "repeating", "duration_in_months": 2}
    )
    session = begin("subscription", monthly, customer=dan.id, discounts=[{"coupon": off.id}])
    submit(session.url)
    made = paid_by(api, session).subscription
    for days in (32, 31):
        shown = api.invoices.create_preview({"subscription": made.id})
        now = api.test_helpers.test_clocks.retrieve(clock.id).frozen_time
        api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": now + days * DAY})
        assert api.invoices.list({"subscription": made.id, "limit": 1}).data[0].total == shown.total
    totals = [invoice.total for invoice in api.invoices.list({"subscription": made.id}).data]
    assert totals == [4999, 3999, 3999]
    assert api.subscriptions.retrieve(made.id).discounts == []


def test_unused_time_is_credited_at_what_was_paid(
    api: Any, bob: Any, product: Any, monthly: Any, half: Any
) -> None:
    terms = {"unit_amount": 9999, "currency": "usd", "recurring": {"interval": "month"}}
    dear = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create(
        {"customer": bob.id, "items": [{"price": monthly.id}], "discounts": [{"coupon": half.id}]}
    )
    change = {
        "items": [{"id": made["items"].data[0].id, "price": dear.id}],
        "proration_behavior": "always_invoice",
    }
    after = api.subscriptions.update(made.id, {**change, "expand": ["latest_invoice"]})
    assert [line.amount for line in after.latest_invoice.lines.data] == [-2499, 9999]


def test_a_fixed_sum_is_divided_to_the_last_cent(api: Any, bob: Any) -> None:
    off = api.coupons.create({"amount_off": 1000, "currency": "usd"})
    for _ in range(3):
        api.invoice_items.create({"customer": bob.id, "amount": 500, "currency": "usd"})
    terms = {"customer": bob.id, "pending_invoice_items_behavior": "include", "discounts": [{"coupon": off.id}]}
    invoice = api.invoices.create(terms)
    shares = [line.discount_amounts[0].amount for line in invoice.lines.data]
    assert (shares, invoice.subtotal, invoice.total) == ([333, 334, 333], 1500, 500)


def test_codes_that_cannot_be_used_say_so(api: Any, begin: Begin, once: Any, half: Any, bob: Any) -> None:
    promotion = {"type": "coupon", "coupon": half.id}
    off = api.promotion_codes.create({"promotion": promotion, "code": "ONLYBOB", "customer": bob.id})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        api.promotion_codes.create({"promotion": promotion, "code": "onlybob"})
    session = begin("payment", once, allow_promotion_codes=True)
    assert "for another customer" in submit(f"{session.url}/promotion", promotion_code="onlybob").complaints[0]
    api.promotion_codes.update(off.id, {"active": False})
    assert submit(f"{session.url}/promotion", promotion_code="onlybob").complaints == ["This code is invalid."]
    api.coupons.delete(half.id)
    with pytest.raises(stripe.InvalidRequestError) as raised:
        begin("payment", once, discounts=[{"coupon": half.id}])
    assert raised.value.code == "coupon_expired"


def test_nothing_to_pay_needs_no_card(api: Any, begin: Begin, monthly: Any, once: Any) -> None:
    free = api.coupons.create({"percent_off": 100})
    gift = begin("payment", once, discounts=[{"coupon": free.id}])
    assert "Card number" not in visit(gift.url).text
    assert submit(gift.url, "").status == 303
    done = api.checkout.sessions.retrieve(gift.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)
    data = {"trial_period_days": 14, "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}}
    trial = begin("subscription", monthly, payment_method_collection="if_required", subscription_data=data)
    assert (trial.amount_total, submit(trial.url, "").status) == (0, 303)
    made = paid_by(api, trial).subscription
    assert (made.status, made.default_payment_method) == ("trialing", None)
    assert made.trial_settings.end_behavior.missing_payment_method == "pause"


def test_address_and_tax_id_are_asked_for_and_kept(api: Any, begin: Begin, monthly: Any, alice: Any) -> None:
    asked = {"automatic_tax": {"enabled": True}, "tax_id_collection": {"enabled": True}, "customer": alice.id}
    with pytest.raises(stripe.InvalidRequestError, match="customer_update"):
        begin("subscription", monthly, **asked)
    allowed = {"name": "auto", "address": "auto"}
    session = begin("subscription", monthly, customer_update=allowed, **asked)
    assert session.automatic_tax.status == "requires_location_inputs"
    assert "Enter a city." in submit(session.url, country="DE", line1="Hauptstr. 1").complaints
    where = {"country": "DE", "line1": "Hauptstr. 1", "city": "Berlin", "zip": "10115"}
    tax = {"business_name": "Alice GmbH", "tax_id_type": "eu_vat", "tax_id": "DE123456789"}
    assert submit(session.url, **where, **tax).status == 303
    done = paid_by(api, session)
    assert (done.automatic_tax.status, done.total_details.amount_tax) == ("complete", 0)
    assert done.customer_details.address.city == "Berlin"
    assert done.customer_details.tax_ids[0].value == "DE123456789"
    assert done.invoice.automatic_tax.status == "complete"
    assert [one.value for one in done.invoice.customer_tax_ids] == ["DE123456789"]
    known = api.customers.retrieve(alice.id, {"expand": ["tax_ids"]})
    assert (known.address.postal_code, known.business_name) == ("10115", "Alice GmbH")
    assert [(one.type, one.country) for one in known.tax_ids.data] == [("eu_vat", "DE")]


def test_tax_ids_are_printed_on_later_invoices(api: Any, alice: Any) -> None:
    made = api.customers.tax_ids.create(alice.id, {"type": "gb_vat", "value": "GB123456789"})
    draft = api.invoices.create({"customer": alice.id})
    assert [one.value for one in draft.customer_tax_ids] == ["GB123456789"]
    assert api.customers.tax_ids.delete(alice.id, made.id).deleted
    assert api.customers.tax_ids.list(alice.id).data == []
    with pytest.raises(stripe.InvalidRequestError):
        api.customers.tax_ids.retrieve(alice.id, made.id)


def test_a_fixed_sum_may_differ_by_currency(api: Any, alice: Any) -> None:
    both = {"amount_off": 500, "currency": "usd", "currency_options": {"eur": {"amount_off": 400}}}
    coupon = api.coupons.create(both)
    for currency, left in (("usd", 500), ("eur", 600)):
        asked = {"customer": alice.id, "currency": currency, "discounts": [{"coupon": coupon.id}]}
        invoice = api.invoices.create(asked)
        item = {"customer": alice.id, "invoice": invoice.id, "amount": 1000, "currency": currency}
        api.invoice_items.create(item)
        assert api.invoices.retrieve(invoice.id).total == left
    with pytest.raises(stripe.InvalidRequestError, match="cannot be used with gbp"):
        api.invoices.create({"customer": alice.id, "currency": "gbp", "discounts": [{"coupon": coupon.id}]})


def test_tax_waits_for_an_address(api: Any, bob: Any, monthly: Any) -> None:
    taxed = {"customer": bob.id, "automatic_tax": {"enabled": True}}
    for call in (
        lambda: api.subscriptions.create({**taxed, "items": [{"price": monthly.id}]}),
        lambda: api.invoices.create(taxed),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert refused.value.code == "customer_tax_location_invalid"
    api.customers.update(bob.id, {"address": {"country": "DE", "postal_code": "10115"}})
    made = api.subscriptions.create({**taxed, "items": [{"price": monthly.id}], "expand": ["latest_invoice"]})
    assert made.latest_invoice.automatic_tax.status == "complete"
    assert api.invoices.create(taxed).automatic_tax.status == "complete"
    off = api.subscriptions.update(made.id, {"automatic_tax": {"enabled": False}})
    assert not off.automatic_tax.enabled
