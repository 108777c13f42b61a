"""The billing portal: its configurations, its pages, and flows for one action."""

from typing import Any

import pytest
import stripe

from tests.sandbox.hosted import submit, visit


def test_the_portal_cancels_by_date_and_leaves_the_flag_alone(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    session = api.billing_portal.sessions.create({"customer": bob.id, "return_url": "http://shop.example/billing"})
    page = visit(session.url)
    assert all(word in page.text for word in ("Cancel plan", "Pro", "http://shop.example/billing", "4242"))
    submit(f"{session.url}/cancel/{made.id}")
    ending = api.subscriptions.retrieve(made.id)
    assert ending.cancel_at == ending["items"].data[0].current_period_end
    assert (ending.cancel_at_period_end, ending.cancellation_details.reason) == (False, "cancellation_requested")
    submit(f"{session.url}/resume/{made.id}")
    assert api.subscriptions.retrieve(made.id).cancel_at is None


def test_the_portal_changes_the_card(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    session = api.billing_portal.sessions.create({"customer": bob.id})
    refused = submit(f"{session.url}/card", "4000 0000 0000 0002")
    assert (refused.status, len(refused.complaints)) == (402, 1)
    assert submit(f"{session.url}/card", "5555 5555 5555 4444").status == 303
    default = api.customers.retrieve(bob.id).invoice_settings.default_payment_method
    assert api.payment_methods.retrieve(default).card.last4 == "4444"
    assert api.subscriptions.retrieve(made.id).status == "active"


def test_the_portal_touches_only_its_own_customer(api: Any, bob: Any, alice: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    session = api.billing_portal.sessions.create({"customer": alice.id})
    assert submit(f"{session.url}/cancel/{made.id}").status == 404


@pytest.fixture
def running(api: Any, bob: Any, monthly: Any) -> Any:
    return api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})


def configure(api: Any, **features: Any) -> str:
    """A configuration of its own with these features, everything else off."""
    made = api.billing_portal.configurations.create({"features": features})
    assert (made.is_default, made.features.invoice_history.enabled) == (False, False)
    return str(made.id)


def flow(api: Any, bob: Any, configuration: str | None, type_: str, **details: Any) -> Any:
    after = {"type": "redirect", "redirect": {"return_url": "http://shop.example/changed"}}
    data = {"type": type_, "after_completion": after} | ({type_: details} if details else {})
    named = {"configuration": configuration} if configuration else {}
    return api.billing_portal.sessions.create({"customer": bob.id, "flow_data": data, **named})


def test_a_configuration_decides_what_the_portal_offers(api: Any, bob: Any, running: Any) -> None:
    only_card = configure(api, payment_method_update={"enabled": True})
    session = api.billing_portal.sessions.create({"customer": bob.id, "configuration": only_card})
    page = visit(session.url).text
    assert "Use another card" in page
    assert not any(words in page for words in ("Cancel plan", "Invoices", "Update billing details"))
    assert submit(f"{session.url}/cancel/{running.id}").status == 404
    changed = api.billing_portal.configurations.update(
        only_card, {"features": {"invoice_history": {"enabled": True}}}
    )
    assert changed.features.payment_method_update.enabled
    assert "Invoices" in visit(session.url).text
    listed = api.billing_portal.configurations.list({"is_default": False}).data
    assert only_card in [one.id for one in listed]
    default = api.billing_portal.configurations.list({"is_default": True}).data
    assert [one.is_default for one in default] == [True]


def test_a_flow_cancels_with_a_reason_and_leads_back(api: Any, bob: Any, running: Any) -> None:
    reasons = {"enabled": True, "options": ["too_expensive", "other"]}
    asks = configure(api, subscription_cancel={"enabled": True, "cancellation_reason": reasons})
    session = flow(api, bob, asks, "subscription_cancel", subscription=running.id)
    assert session.flow.subscription_cancel.subscription == running.id
    page = visit(session.url).text
    assert "expensive" in page
    assert "Use another card" not in page
    done = submit(f"{session.url}/cancel/{running.id}", feedback="too_expensive", comment="Alas")
    assert done.leads_to == "http://shop.example/changed"
    ending = api.subscriptions.retrieve(running.id)
    assert (ending.cancel_at_period_end, ending.cancel_at) == (False, ending["items"].data[0].current_period_end)
    told = ending.cancellation_details
    assert (told.reason, told.feedback, told.comment) == ("cancellation_requested", "too_expensive", "Alas")
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        flow(api, bob, asks, "subscription_cancel", subscription=running.id)


def test_a_flow_changes_the_card_and_leads_back(api: Any, bob: Any, running: Any) -> None:
    session = flow(api, bob, None, "payment_method_update")
    page = visit(session.url).text
    assert "Card number" in page
    assert "Cancel plan" not in page
    assert submit(f"{session.url}/card", "5555 5555 5555 4444").leads_to == "http://shop.example/changed"


def test_a_flow_confirms_a_change_that_the_configuration_offers(
    api: Any, bob: Any, product: Any, running: Any
) -> None:
    terms = {"unit_amount": 9999, "currency": "usd", "recurring": {"interval": "month"}}
    dear = api.prices.create({"product": product.id, **terms})
    offers = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": product.id, "prices": [dear.id]}],
        "proration_behavior": "always_invoice",
    }
    configuration = configure(api, subscription_update=offers)
    items = [{"id": running["items"].data[0].id, "price": dear.id, "quantity": 1}]
    change = {"subscription": running.id, "items": items}
    with pytest.raises(stripe.InvalidRequestError, match="disabled"):
        flow(api, bob, None, "subscription_update_confirm", **change)
    session = flow(api, bob, configuration, "subscription_update_confirm", **change)
    assert "$50.00" in visit(session.url).text
    assert submit(f"{session.url}/confirm").leads_to == "http://shop.example/changed"
    after = api.subscriptions.retrieve(running.id, {"expand": ["latest_invoice"]})
    assert (after["items"].data[0].price.id, after.latest_invoice.amount_paid) == (dear.id, 5000)


def test_cards_are_removed_and_details_changed(api: Any, bob: Any) -> None:
    session = api.billing_portal.sessions.create({"customer": bob.id})
    where = {"country": "AT", "line1": "Ring 1", "city": "Wien", "zip": "1010", "state": ""}
    told = {"name": "Bob Ltd", "tax_id_type": "eu_vat", "tax_id": "ATU12345678"}
    assert submit(f"{session.url}/details", "", email="bob@new.example", **where, **told).status == 303
    known = api.customers.retrieve(bob.id, {"expand": ["tax_ids"]})
    assert (known.email, known.name, known.address.country) == ("bob@new.example", "Bob Ltd", "AT")
    assert known.tax_ids.data[0].value == "ATU12345678"
    card = known.invoice_settings.default_payment_method
    assert submit(f"{session.url}/card/{card}/remove").status == 303
    assert api.customers.payment_methods.list(bob.id).data == []
    assert submit(f"{session.url}/card/{card}/remove").status == 404
