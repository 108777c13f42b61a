"""Tax rates: on invoices, subscriptions, Checkout and credit notes.

https://docs.stripe.com/billing/taxes/tax-rates and https://docs.stripe.com/invoicing/taxes/tax-rates
"""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.sandbox.hosted import submit, visit

Rate = Callable[..., Any]


@pytest.fixture
def rate(api: Any) -> Rate:
    """Make a tax rate."""

    def make(percentage: float | str, inclusive: bool = False, **more: Any) -> Any:
        terms = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
        return api.tax_rates.create({**terms, **more})

    return make


def draft_of(api: Any, customer: Any, amounts: list[int], **terms: Any) -> Any:
    """A draft invoice with a line for each amount."""
    draft = api.invoices.create({"customer": customer.id, "currency": "usd", **terms})
    for amount in amounts:
        item = {"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": "usd"}
        api.invoice_items.create(item)
    return api.invoices.retrieve(draft.id)


def sums(invoice: Any) -> tuple[int, int, int]:
    """Subtotal, tax and total."""
    return invoice.subtotal, sum(one.amount for one in invoice.total_taxes), invoice.total


def test_a_tax_rate_is_kept_listed_and_archived(api: Any, rate: Rate, hook: Any, sandbox: Any) -> None:
    words = {"jurisdiction": "DE", "country": "DE", "state": "BE", "description": "standard", "tax_type": "vat"}
    made = rate("19.1234", True, metadata={"a": "1"}, **words)
    assert (made.percentage, made.effective_percentage, made.inclusive, made.active) == (
        19.1234,
        19.1234,
        True,
        True,
    )
    assert {name: made[name] for name in words} == words
    others = {"jurisdiction": "AT", "country": "AT", "state": "W", "description": "new", "tax_type": "gst"}
    changed = {"display_name": "USt", "active": False, "metadata": {"b": "2"}, **others}
    after = api.tax_rates.update(made.id, changed)
    assert (after.display_name, after.active, after.metadata.to_dict()) == ("USt", False, {"a": "1", "b": "2"})
    assert {name: after[name] for name in others} == others
    hidden = rate(7, active=False)
    listed = [one.id for one in api.tax_rates.list({"active": False, "inclusive": True}).data]
    assert listed[0] == made.id
    assert hidden.id not in listed
    for wrong in ("101", "-1", "1.12345"):
        with pytest.raises(stripe.InvalidRequestError, match="percentage"):
            rate(wrong)
    sandbox.config("deliveries/flush")
    assert made.id in hook.objects("tax_rate.created")
    assert made.id in hook.objects("tax_rate.updated")


@pytest.mark.parametrize(("inclusive", "total", "net"), [(True, 60000, 54545), (False, 66000, 60000)])
def test_tax_is_added_to_a_price_or_part_of_it(
    api: Any, bob: Any, rate: Rate, inclusive: bool, total: int, net: int
) -> None:
    """https://support.stripe.com/questions/inclusive-and-exclusive-tax-options-in-the-tax-rate-api-and-stripe-tax

    "if the price is €600 and you set an inclusive tax rate of 10%, the invoice total will still be €600. [...] An
    exclusive tax rate of 10% on a €600 price will result in an invoice total of €660."
    """
    ten = rate(10, inclusive)
    draft = draft_of(api, bob, [60000], default_tax_rates=[ten.id])
    assert (draft.subtotal, draft.total, draft.amount_due, draft.total_excluding_tax) == (60000, total, total, net)
    assert draft.subtotal_excluding_tax == net
    tax = draft.lines.data[0].taxes[0]
    assert (tax.amount, tax.taxable_amount, tax.tax_rate_details.tax_rate) == (
        6000 if net == 60000 else 5455,
        net,
        ten.id,
    )
    assert tax.tax_behavior == ("inclusive" if inclusive else "exclusive")
    assert [one.id for one in draft.default_tax_rates] == [ten.id]
    assert api.invoices.pay(draft.id).amount_paid == total


def test_tax_is_rounded_on_each_line(api: Any, bob: Any, rate: Rate) -> None:
    """https://support.stripe.com/questions/rounding-rules-for-stripe-fees

    15% of $0.43 is $0.0645 and so $0.06, 15% of $4.84 is $0.73: $0.79 of tax on $5.27, in all $6.06.
    """
    fifteen = rate(15)
    assert sums(draft_of(api, bob, [43, 484], default_tax_rates=[fifteen.id])) == (527, 79, 606)
    # On the whole, 15% of $1.29 would be $0.19.
    thrice = draft_of(api, bob, [43, 43, 43], default_tax_rates=[fifteen.id])
    assert sums(thrice) == (129, 18, 147)
    assert [(one.amount, one.taxable_amount) for one in thrice.total_taxes] == [(18, 129)]


def test_discounts_come_before_taxes(api: Any, bob: Any, rate: Rate) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "once"})
    terms = {"discounts": [{"coupon": half.id}], "default_tax_rates": [rate(20).id]}
    assert sums(draft_of(api, bob, [1000], **terms)) == (1000, 100, 600)


def test_several_rates_share_an_amount(api: Any, bob: Any, rate: Rate) -> None:
    two = [rate(5, display_name="GST").id, rate("9.975", display_name="QST").id]
    draft = draft_of(api, bob, [10000], default_tax_rates=two)
    assert ([one.amount for one in draft.total_taxes], draft.total) == ([500, 998], 11498)
    with pytest.raises(stripe.InvalidRequestError, match="up to 10"):
        api.invoices.create({"customer": bob.id, "default_tax_rates": [two[0]] * 11})
    api.tax_rates.update(two[0], {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        api.invoices.create({"customer": bob.id, "default_tax_rates": two})
    assert api.invoices.finalize_invoice(draft.id).total == 11498


@pytest.mark.parametrize(("exempt", "reason"), [("exempt", "customer_exempt"), ("reverse", "reverse_charge")])
def test_who_is_exempt_pays_no_tax(api: Any, bob: Any, rate: Rate, exempt: str, reason: str) -> None:
    api.customers.update(bob.id, {"tax_exempt": exempt})
    for customer in (bob, api.customers.create({"tax_exempt": exempt})):
        draft = draft_of(api, customer, [1000], default_tax_rates=[rate(20).id])
        assert (sums(draft), draft.total_taxes[0].taxability_reason) == ((1000, 0, 1000), reason)


def test_a_draft_is_taxed_anew(api: Any, bob: Any, rate: Rate) -> None:
    draft = draft_of(api, bob, [1000])
    assert sums(api.invoices.update(draft.id, {"default_tax_rates": [rate(10).id]})) == (1000, 100, 1100)
    assert sums(api.invoices.update(draft.id, {"default_tax_rates": ""})) == (1000, 0, 1000)
    api.invoices.finalize_invoice(draft.id)
    with pytest.raises(stripe.InvalidRequestError, match="Finalized"):
        api.invoices.update(draft.id, {"default_tax_rates": ""})


def test_an_invoice_item_has_rates_of_its_own(api: Any, bob: Any, rate: Rate) -> None:
    item = {"customer": bob.id, "amount": 1000, "currency": "usd"}
    api.invoice_items.create({**item, "tax_rates": [rate(5).id]})
    later = api.invoice_items.create(item)
    after = api.invoice_items.update(later.id, {"tax_rates": [rate(7).id]})
    assert [one.percentage for one in after.tax_rates] == [7]
    api.invoice_items.create(item)
    terms = {"pending_invoice_items_behavior": "include", "default_tax_rates": [rate(20).id]}
    invoice = api.invoices.create({"customer": bob.id, **terms})
    assert [line.taxes[0].amount for line in invoice.lines.data] == [50, 70, 200]


def test_a_subscriptions_taxes_are_on_each_of_its_bills(
    api: Any, bob: Any, monthly: Any, rate: Rate, sandbox: Any
) -> None:
    vat = rate(20, jurisdiction="UK")
    terms = {"items": [{"price": monthly.id}], "default_tax_rates": [vat.id]}
    made = api.subscriptions.create({"customer": bob.id, **terms})
    first = api.invoices.retrieve(made.latest_invoice)
    assert (sums(first), first.amount_paid, first.status) == ((4999, 1000, 5999), 5999, "paid")
    assert [one.id for one in made.default_tax_rates] == [vat.id]
    assert "VAT - UK (20%)" in visit(first.hosted_invoice_url).text
    # The change of a rate is not prorated.
    after = api.subscriptions.update(made.id, {"default_tax_rates": [rate(10).id]})
    assert after.latest_invoice == made.latest_invoice
    assert sums(api.invoices.create_preview({"subscription": made.id})) == (4999, 500, 5499)
    more = {"items": [{"id": made["items"].data[0].id, "quantity": 2}], "proration_behavior": "always_invoice"}
    bill = api.invoices.retrieve(api.subscriptions.update(made.id, more).latest_invoice)
    assert sum(line.amount for line in bill.lines.data) == bill.subtotal == 4999
    assert bill.total == 5499


def test_an_items_own_rates_replace_the_default(
    api: Any, bob: Any, monthly: Any, product: Any, rate: Rate
) -> None:
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}
    other = api.prices.create({"product": product.id, **terms})
    items = [{"price": monthly.id, "tax_rates": [rate(10).id]}, {"price": other.id}]
    made = api.subscriptions.create({"customer": bob.id, "items": items, "default_tax_rates": [rate(50).id]})
    assert [line.taxes[0].amount for line in api.invoices.retrieve(made.latest_invoice).lines.data] == [500, 500]
    own, plain = made["items"].data
    change = [{"id": own.id, "tax_rates": ""}, {"id": plain.id, "tax_rates": [rate(1).id]}]
    api.subscriptions.update(made.id, {"items": change})
    preview = api.invoices.create_preview({"subscription": made.id})
    assert [line.taxes[0].amount for line in preview.lines.data] == [2500, 10]
    api.subscription_items.update(plain.id, {"tax_rates": [rate(2).id]})
    third = api.prices.create({"product": product.id, **terms})
    api.subscription_items.create(
        {"subscription": made.id, "price": third.id, "tax_rates": [rate(3).id], "proration_behavior": "none"}
    )
    preview = api.invoices.create_preview({"subscription": made.id})
    assert [line.taxes[0].amount for line in preview.lines.data] == [2500, 20, 30]


def test_a_preview_knows_the_taxes(api: Any, bob: Any, monthly: Any, rate: Rate) -> None:
    details = {"items": [{"price": monthly.id}], "default_tax_rates": [rate(20).id]}
    shown = api.invoices.create_preview({"customer": bob.id, "subscription_details": details})
    assert sums(shown) == (4999, 1000, 5999)
    details["items"] = [{"price": monthly.id, "tax_rates": [rate(10, True).id]}]
    shown = api.invoices.create_preview({"customer": bob.id, "subscription_details": details})
    assert sums(shown) == (4999, 454, 4999)


def test_checkout_adds_tax_and_shows_it(api: Any, begin: Any, once: Any, rate: Rate) -> None:
    lines = [{"price": once.id, "quantity": 2, "tax_rates": [rate(10).id]}]
    session = begin("payment", line_items=lines)
    assert (session.amount_subtotal, session.total_details.amount_tax, session.amount_total) == (3000, 300, 3300)
    page = visit(session.url).text
    assert "VAT (10%)" in page
    assert "$33.00" in page
    submit(session.url)
    paid = api.checkout.sessions.retrieve(session.id, {"expand": ["line_items.data.taxes"]})
    item = paid.line_items.data[0]
    assert (item.amount_tax, item.amount_total, item.taxes[0].amount, item.taxes[0].rate.percentage) == (
        300,
        3300,
        300,
        10,
    )
    assert api.payment_intents.retrieve(paid.payment_intent).amount_received == 3300


def test_a_subscription_keeps_the_taxes_of_its_checkout(
    api: Any, begin: Any, monthly: Any, once: Any, rate: Rate
) -> None:
    vat, own = rate(20), rate(10, True)
    lines = [{"price": monthly.id, "quantity": 1}, {"price": once.id, "quantity": 1, "tax_rates": [own.id]}]
    session = begin("subscription", line_items=lines, subscription_data={"default_tax_rates": [vat.id]})
    assert (session.total_details.amount_tax, session.amount_total) == (1000 + 136, 4999 + 1000 + 1500)
    submit(session.url)
    session = api.checkout.sessions.retrieve(session.id)
    made = api.subscriptions.retrieve(session.subscription)
    assert [one.id for one in made.default_tax_rates] == [vat.id]
    invoice = api.invoices.retrieve(session.invoice)
    assert (invoice.amount_paid, [line.taxes[0].amount for line in invoice.lines.data]) == (7499, [1000, 136])


def test_a_credit_note_gives_back_the_tax_too(api: Any, bob: Any, rate: Rate) -> None:
    """The note's total is "the total amount of the credit note, including tax" (api/credit_notes/object)."""
    half = api.coupons.create({"percent_off": 50, "duration": "once"})
    terms = {"discounts": [{"coupon": half.id}], "default_tax_rates": [rate(20).id]}
    paid = api.invoices.pay(draft_of(api, bob, [1000], **terms).id)
    lines = [
        {"type": "invoice_line_item", "invoice_line_item": paid.lines.data[0].id, "amount": 500},
        {"type": "custom_line_item", "unit_amount": 100, "quantity": 1, "tax_rates": [rate(10).id]},
    ]
    note = api.credit_notes.create({"invoice": paid.id, "lines": lines, "refund_amount": 410})
    assert (note.subtotal, note.discount_amount, note.total, note.total_excluding_tax) == (600, 250, 410, 350)
    assert [one.amount for one in note.total_taxes] == [50, 10]
    assert api.refunds.retrieve(note.refunds[0].refund).amount == 410
    rest = {"type": "invoice_line_item", "invoice_line_item": paid.lines.data[0].id, "amount": 500}
    with pytest.raises(stripe.InvalidRequestError, match=r"amount \(300\).*what is left \(190\)"):
        api.credit_notes.create({"invoice": paid.id, "lines": [rest], "refund_amount": 300})


def test_a_phase_brings_its_tax_rates(api: Any, bob: Any, monthly: Any, rate: Rate) -> None:
    """ "These Tax Rates will set the Subscription's default_tax_rates" (api/subscription_schedules/update)."""
    old, new, own = rate(20), rate(10), rate(5)
    terms = {"items": [{"price": monthly.id}], "default_tax_rates": [old.id]}
    made = api.subscriptions.create({"customer": bob.id, **terms})
    schedule = api.subscription_schedules.create({"from_subscription": made.id})
    now = schedule.phases[0]
    assert [one.id for one in now.default_tax_rates] == [old.id]
    dates = {"start_date": now.start_date, "end_date": now.end_date}
    item = {"price": monthly.id, "quantity": 1}
    first = {**dates, "items": [item], "default_tax_rates": [old.id]}
    later = {"items": [{**item, "tax_rates": [own.id]}], "default_tax_rates": [new.id]}
    api.subscription_schedules.update(schedule.id, {"phases": [first, later]})
    assert sums(api.invoices.create_preview({"subscription": made.id})) == (4999, 250, 5249)
    api.subscription_schedules.update(schedule.id, {"phases": [first, {**later, "items": [item]}]})
    assert sums(api.invoices.create_preview({"subscription": made.id})) == (4999, 500, 5499)
    api.subscription_schedules.update(schedule.id, {"phases": [{**dates, "items": [item]}]})
    assert api.subscriptions.retrieve(made.id).default_tax_rates == []
