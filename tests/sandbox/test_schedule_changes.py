"""Schedules that are changed, and previews of schedules and of their changes."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import advance
from tests.sandbox.test_schedules import at, subscription_bill, subscription_of

MONTH = {"interval": "month"}


@pytest.fixture
def gold(api: Any, product: Any) -> Any:
    """$10 or €9 a month."""
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": MONTH}
    return api.prices.create({"product": product.id, **terms, "currency_options": {"eur": {"unit_amount": 900}}})


@pytest.fixture
def rich(api: Any, carol: Any, product: Any, gold: Any) -> Callable[..., list[Any]]:
    """Two phases that say all that a phase can say, with one-time prices in the first."""
    half = api.coupons.create({"percent_off": 50, "duration": "forever"}).id
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"}).id
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": tenth}}).id
    rates = [
        api.tax_rates.create({"display_name": "VAT", "percentage": percent, "inclusive": False}).id
        for percent in (10, 20, 30)
    ]
    card = api.payment_methods.attach("pm_card_amex", {"customer": carol.id}).id
    seat = api.prices.create({"product": product.id, "unit_amount": 5000, "currency": "eur"}).id
    inline = {"currency": "eur", "product": product.id}

    def make() -> list[Any]:
        items = [
            {"price": gold.id, "quantity": 3, "tax_rates": [rates[0]], "discounts": [{"coupon": half}]},
            {"price_data": {**inline, "unit_amount": 700, "recurring": MONTH}, "metadata": {"kind": "seat"}},
        ]
        items[1]["discounts"] = [{"promotion_code": code}]
        extras = [
            {"price": seat, "quantity": 2, "tax_rates": [rates[1]], "metadata": {"a": "1"}},
            {"price_data": {**inline, "unit_amount": 900}, "discounts": [{"coupon": half}]},
            {"price_data": {**inline, "unit_amount": 300}, "discountable": False},
        ]
        extras[2]["period"] = {"start": {"type": "phase_start"}, "end": {"type": "phase_end"}}
        first = {"items": items, "currency": "eur", "add_invoice_items": extras, "default_tax_rates": [rates[2]]}
        first |= {
            "discounts": [{"promotion_code": code}, {"coupon": half}],
            "metadata": {"phase": "1"},
            "description": "first",
        }
        first |= {"collection_method": "send_invoice", "invoice_settings": {"days_until_due": 5}}
        first |= {"default_payment_method": card, "duration": {"interval": "month", "interval_count": 2}}
        second = {"items": [{"price": gold.id}], "discounts": [{"coupon": half}], "trial_end": at(5, 1)}
        second |= {"billing_cycle_anchor": "phase_start", "proration_behavior": "none", "end_date": at(6, 1)}
        return [first, second, {"items": [{"price": gold.id}], "trial": True, "end_date": at(7, 1)}]

    return make


def phases_of(api: Any, schedule: Any) -> list[Any]:
    """A schedule's phases, with amounts in place of the ids of prices."""

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: amount(inner) if name in ("price", "plan") else shown(inner) for name, inner in value.items()
            }
        return [shown(one) for one in value] if isinstance(value, list) else value

    def amount(price: str) -> Any:
        return api.prices.retrieve(price).unit_amount

    return [shown(phase.to_dict()) for phase in schedule.phases]


def test_a_schedule_is_changed_to_all_that_it_could_begin_with(
    api: Any, clock: Any, carol: Any, gold: Any, rich: Any
) -> None:
    asked = {"customer": carol.id, "start_date": at(2, 15)}
    made = api.subscription_schedules.create({**asked, "phases": rich()})
    plain = {"items": [{"price": gold.id}], "currency": "eur"}
    other = api.subscription_schedules.create({**asked, "phases": [plain]})
    wanted = rich()
    wanted[0]["start_date"] = at(2, 15)
    changed = api.subscription_schedules.update(
        other.id, {"phases": wanted, "end_behavior": "cancel", "metadata": {"a": "1"}}
    )
    assert phases_of(api, changed) == phases_of(api, made)
    assert (changed.end_behavior, changed.metadata.a) == ("cancel", "1")
    for wrong in ({**plain, "currency": "usd"}, {"items": [{"price": gold.id}], "currency": "usd"}):
        with pytest.raises(stripe.InvalidRequestError, match="the same currency"):
            api.subscription_schedules.update(other.id, {"phases": [{**wrong, "start_date": at(2, 15)}]})


def bill(invoice: Any) -> list[Any]:
    """All that a preview shows of a bill."""
    lines = [
        (
            line.description,
            line.amount,
            line.quantity,
            line.period.to_dict(),
            sorted(part.amount for part in line.discount_amounts),
            [(tax.amount, tax.tax_rate_details.tax_rate) for tax in line.taxes],
            line.metadata.to_dict(),
        )
        for line in invoice.lines.data
    ]
    money = (invoice.subtotal, invoice.total, invoice.amount_due, invoice.currency)
    terms = (invoice.collection_method, invoice.parent.subscription_details.metadata.to_dict())
    return [*lines, money, terms, [rate.id for rate in invoice.default_tax_rates]]


def test_a_preview_shows_the_first_bill_of_a_schedule(
    api: Any, clock: Any, carol: Any, gold: Any, rich: Any
) -> None:
    phases = rich()
    for unseen in ("description", "invoice_settings", "default_payment_method", "billing_cycle_anchor"):
        for phase in phases:
            phase.pop(unseen, None)
    phases[0]["items"][1].pop("metadata")
    shown = api.invoices.create_preview({"customer": carol.id, "schedule_details": {"phases": phases}})
    assert api.subscription_schedules.list({"customer": carol.id}).data == []
    made = api.subscription_schedules.create({"customer": carol.id, "phases": phases})
    assert bill(shown) == bill(subscription_bill(api, made))
    later = [{"items": [{"price": gold.id}], "start_date": at(2, 15), "trial": True, "end_date": at(2, 20)}]
    trial = api.invoices.create_preview({"customer": carol.id, "schedule_details": {"phases": later}})
    period = trial.lines.data[0].period
    assert (trial.total, period.start, period.end) == (0, at(2, 15), at(2, 20))
    later = [
        {
            "items": [{"price": gold.id}],
            "trial_end": at(2, 19),
            "duration": {"interval": "week", "interval_count": 4},
        }
    ]
    trial = api.invoices.create_preview({"customer": carol.id, "schedule_details": {"phases": later}})
    assert (trial.total, trial.lines.data[0].period.end) == (0, at(2, 19))
    later[0] = {"items": later[0]["items"], "duration": {"interval": "week", "interval_count": 2}, "trial": True}
    trial = api.invoices.create_preview({"customer": carol.id, "schedule_details": {"phases": later}})
    assert (trial.total, trial.lines.data[0].period.end) == (0, at(2, 14))


@pytest.mark.parametrize("case", ["now", "with the renewal", "never", "the phase's own way", "the end moves"])
def test_a_preview_shows_what_a_change_of_a_schedule_bills(
    api: Any, clock: Any, carol: Any, gold: Any, sandbox: Any, case: str
) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    sandbox.post(f"/v1/customers/{carol.id}", {"coupon": half.id}, Stripe_Version="2024-06-20")
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"})
    own = [{"discount": api.customers.retrieve(carol.id).discount.id}, {"coupon": tenth.id}]
    month = {"items": [{"price": gold.id}], "duration": MONTH}
    made = api.subscription_schedules.create({"customer": carol.id, "phases": [month, month]})
    advance(api, clock, days=14)
    first = {"items": [{"price": gold.id, "quantity": 2}], "start_date": at(1, 31), "end_date": at(2, 28)}
    details = {
        "now": {"phases": [first, month], "proration_behavior": "always_invoice"},
        "with the renewal": {"phases": [first, month], "proration_behavior": "create_prorations"},
        "never": {"phases": [first, {**month, "discounts": ""}], "proration_behavior": "none"},
        "the phase's own way": {"phases": [{**first, "proration_behavior": "always_invoice", "discounts": own}]},
        "the end moves": {"phases": [{**first, "items": month["items"], "end_date": at(2, 20)}, month]},
    }[case]
    shown = api.invoices.create_preview({"schedule": made.id, "schedule_details": details})
    changed = api.subscription_schedules.update(made.id, details)
    if case not in ("now", "the phase's own way"):
        advance(api, clock, days=14)
    assert bill(shown) == bill(subscription_bill(api, changed))
    totals = {"now": 250, "with the renewal": 750, "never": 1000, "the phase's own way": 200, "the end moves": 500}
    assert shown.total == totals[case]
    if case == "the end moves":
        assert subscription_of(api, changed)["items"].data[0].current_period_end == at(3, 31)
