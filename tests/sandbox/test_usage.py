"""What usage billing needs: cards set up first, meters, exact invoice items, attached and detached cards."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.sandbox.hosted import submit

HOUR = 3600
NOON = 1_800_000_000 // 86400 * 86400 + 12 * HOUR


@pytest.fixture
def meter(api: Any) -> Any:
    """A meter that counts calls, with its own event name."""
    name = f"calls_{len(api.billing.meters.list({'limit': 100}).data)}"
    return api.billing.meters.create(
        {"display_name": "Calls", "event_name": name, "default_aggregation": {"formula": "sum"}}
    )


def test_setup_keeps_the_card_for_the_subscription_that_follows(
    api: Any, begin: Callable[..., Any], alice: Any, product: Any, meter: Any
) -> None:
    session = begin("setup", customer=alice.id, setup_intent_data={"metadata": {"purchase": "9"}})
    assert submit(session.url, "4000 0025 0000 3155").leads_to.endswith("/authenticate")
    assert submit(f"{session.url}/authenticate", answer="complete").status == 303
    done = api.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    intent = done.setup_intent
    assert (done.status, done.payment_status, intent.metadata["purchase"]) == (
        "complete",
        "no_payment_required",
        "9",
    )
    api.customers.update(alice.id, {"invoice_settings": {"default_payment_method": intent.payment_method.id}})
    terms = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    metered = api.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount_decimal": "0.001", "recurring": terms}
    )
    made = api.subscriptions.create({"customer": alice.id, "items": [{"price": metered.id}]})
    assert (made.status, "quantity" in made["items"].data[0]) == ("active", False)


def test_usage_is_summed_by_hour_and_day_and_can_be_taken_back(api: Any, meter: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": NOON + 2 * HOUR})
    dan = api.customers.create({"test_clock": clock.id})
    for number, (at, value) in enumerate([(NOON, "1.5"), (NOON + 60, "2"), (NOON + HOUR, "4")]):
        payload = {"stripe_customer_id": dan.id, "value": value}
        identifier = {"identifier": f"{meter.id}-{number}", "timestamp": at}
        api.billing.meter_events.create({"event_name": meter.event_name, "payload": payload, **identifier})
    asked = {"customer": dan.id, "start_time": NOON, "end_time": NOON + 2 * HOUR}

    def values(**more: str) -> list[float]:
        found = api.billing.meters.event_summaries.list(meter.id, {**asked, **more}).data
        return [float(one.aggregated_value) for one in found]

    assert values() == [7.5]
    assert values(value_grouping_window="hour") == [4.0, 3.5]
    cancel = {"type": "cancel", "cancel": {"identifier": f"{meter.id}-2"}, "event_name": meter.event_name}
    assert api.billing.meter_event_adjustments.create(cancel).status == "complete"
    assert values() == [3.5]
    with pytest.raises(stripe.InvalidRequestError, match="aligned"):
        api.billing.meters.event_summaries.list(meter.id, {**asked, "start_time": NOON + 1})


def test_invoice_items_are_exact_to_a_fraction_of_a_cent(api: Any, bob: Any, product: Any) -> None:
    draft = api.invoices.create({"customer": bob.id, "pending_invoice_items_behavior": "exclude"})
    item = {"customer": bob.id, "invoice": draft.id, "currency": "usd"}
    made = api.invoice_items.create({**item, "unit_amount_decimal": "0.001", "quantity": 1_234_567})
    assert (made.amount, made.invoice, str(made.pricing.unit_amount_decimal)) == (1235, draft.id, "0.001")
    part = api.invoice_items.create({**item, "unit_amount_decimal": "10", "quantity_decimal": "2.55"})
    assert (part.amount, part.quantity, str(part.quantity_decimal)) == (26, 2, "2.55")
    data = {"price_data": {"currency": "usd", "product": product.id, "unit_amount_decimal": "12.5"}, "quantity": 3}
    named = api.invoice_items.create({"customer": bob.id, "invoice": draft.id, **data})
    assert (named.amount, named.pricing.price_details.product) == (38, product.id)
    assert api.invoices.retrieve(draft.id).total == 1235 + 26 + 38
    for wrong in ({**item, "currency": "eur"}, {**item, "customer": api.customers.create({}).id}):
        with pytest.raises(stripe.InvalidRequestError):
            api.invoice_items.create({**wrong, "amount": 1})
    with pytest.raises(stripe.InvalidRequestError, match="Invalid decimal"):
        api.invoice_items.create({**item, "unit_amount_decimal": "1", "quantity_decimal": "-1"})


def test_a_card_that_is_detached_pays_for_nothing_any_more(api: Any, alice: Any, monthly: Any) -> None:
    card = api.payment_methods.attach("pm_card_visa", {"customer": alice.id})
    terms = {"customer": alice.id, "items": [{"price": monthly.id}], "default_payment_method": card.id}
    made = api.subscriptions.create(terms)
    api.payment_methods.detach(card.id)
    assert api.subscriptions.retrieve(made.id).default_payment_method is None
    told = api.events.list({"type": "payment_method.detached", "limit": 1}).data[0]
    assert (told.data.object.customer, told.data.previous_attributes["customer"]) == (None, alice.id)
    again = api.payment_methods.attach("pm_card_visa", {"customer": alice.id})
    assert again.card.fingerprint == card.card.fingerprint
