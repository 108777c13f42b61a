"""The terms of checkout sessions, payment links and the billing portal, and what comes of them."""

import time
from typing import Any

from tests.sandbox.conftest import Sandbox
from tests.sandbox.hook import Hook
from tests.sandbox.hosted import submit, visit

DAY = 86400


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def test_a_described_price_is_bought(api: Any, begin: Any, product: Any) -> None:
    cycle = {"interval": "month"}
    lines = [
        {"quantity": 1, "price_data": {"currency": "usd", "product": product.id, "unit_amount": 700}},
        {
            "quantity": 2,
            "price_data": {
                "currency": "usd",
                "product_data": {"name": "Seat"},
                "unit_amount": 100,
                "recurring": cycle,
            },
        },
    ]
    made = begin("subscription", line_items=lines, customer_email="d@example.com")
    assert made.amount_total == 900
    assert "Seat" in visit(made.url).text
    submit(made.url)
    done = api.checkout.sessions.retrieve(made.id)
    assert api.customers.retrieve(done.customer).email == "d@example.com"
    found = api.subscriptions.retrieve(done.subscription)
    assert (found["items"].data[0].price.unit_amount, found["items"].data[0].quantity) == (100, 2)
    assert ids(api.checkout.sessions.list({"subscription": found.id})) == [made.id]


def test_a_session_hands_on_what_it_says_about_the_payment(api: Any, begin: Any, once: Any) -> None:
    place = {"line1": "1 Main St", "city": "Berlin", "country": "DE"}
    data = {
        "description": "shoes",
        "metadata": {"a": "1"},
        "receipt_email": "r@example.com",
        "setup_future_usage": "off_session",
        "shipping": {"name": "Ann", "address": place},
    }
    terms = {"customer_creation": "always", "metadata": {"s": "1"}, "expires_at": int(time.time()) + 3600}
    made = begin("payment", once, payment_intent_data=data, **terms, billing_address_collection="required")
    assert made.expires_at == terms["expires_at"]
    assert "Address" in visit(made.url).text
    where = {"line1": "1 Main St", "city": "Berlin", "country": "DE", "zip": "10115"}
    assert submit(made.url, **where).leads_to.startswith("http://shop.example/done")
    done = api.checkout.sessions.retrieve(made.id)
    intent = api.payment_intents.retrieve(done.payment_intent)
    assert (intent.description, intent.metadata.a, intent.receipt_email) == ("shoes", "1", "r@example.com")
    assert intent.shipping.address.city == "Berlin"
    assert api.payment_methods.retrieve(intent.payment_method).customer == done.customer
    assert done.metadata.s == "1"
    assert api.checkout.sessions.update(made.id, {"metadata": {"t": "2"}}).metadata.to_dict() == {
        "s": "1",
        "t": "2",
    }
    assert ids(api.checkout.sessions.list({"payment_intent": intent.id})) == [made.id]
    assert ids(api.checkout.sessions.list({"customer": done.customer})) == [made.id]


def test_sessions_are_found_by_the_buyers_address(api: Any, begin: Any, once: Any) -> None:
    made = begin("payment", once)
    submit(made.url, email="unique.buyer@example.com")
    asked = {"customer_details": {"email": "unique.buyer@example.com"}}
    assert ids(api.checkout.sessions.list(asked)) == [made.id]


def test_a_session_hands_on_what_it_says_about_the_subscription(api: Any, begin: Any, monthly: Any) -> None:
    ends = int(time.time()) + 5 * DAY
    coupon = api.coupons.create({"percent_off": 50, "duration": "forever"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    data = {"description": "a plan", "trial_end": ends}
    made = begin("subscription", monthly, subscription_data=data, discounts=[{"promotion_code": code.id}])
    submit(made.url)
    found = api.subscriptions.retrieve(api.checkout.sessions.retrieve(made.id).subscription)
    assert (found.description, found.trial_end, found.status) == ("a plan", ends, "trialing")
    asked = {"subscription": found.id}
    assert api.invoices.create_preview(asked).total == 2499
    assert ids(api.promotion_codes.list({"code": code.code})) == [code.id]


def test_types_of_payment_are_named_otherwise_before_endive(sandbox: Sandbox, once: Any) -> None:
    asked = {
        "mode": "payment",
        "success_url": "http://shop.example/done",
        "line_items[0][price]": once.id,
        "line_items[0][quantity]": "1",
        "payment_method_types[0]": "sepa_debit",
    }
    made = sandbox.post("/v1/checkout/sessions", asked, Stripe_Version="2026-08-26.dahlia").json()
    assert made["payment_method_types"] == ["sepa_debit"]
    assert "IBAN" in visit(made["url"]).text


def test_a_link_hands_on_its_terms(api: Any, monthly: Any) -> None:
    terms = {"allow_promotion_codes": True, "billing_address_collection": "required"}
    data = {"metadata": {"a": "1"}, "trial_period_days": 5}
    lines = [{"price": monthly.id, "quantity": 1}]
    made = api.payment_links.create({"line_items": lines, **terms, "subscription_data": data})
    opened = visit(made.url)
    assert "Add promotion code" in opened.text
    assert "Address" in opened.text
    where = {"line1": "1 Main St", "city": "Berlin", "country": "DE", "zip": "10115"}
    submit(opened.response.url, **where)
    session = api.checkout.sessions.list({"payment_link": made.id}).data[0]
    found = api.subscriptions.retrieve(session.subscription)
    assert (found.status, found.metadata.a) == ("trialing", "1")
    away = {"type": "redirect", "redirect": {"url": "http://shop.example/thanks"}}
    changes = {"after_completion": away, "allow_promotion_codes": False, "metadata": {"b": "2"}}
    assert api.payment_links.update(made.id, changes).metadata.b == "2"
    again = visit(made.url)
    assert "Add promotion code" not in again.text
    assert submit(again.response.url, **where).leads_to == "http://shop.example/thanks"


def test_a_portal_configuration_is_written_and_found(api: Any, bob: Any) -> None:
    features = {"invoice_history": {"enabled": False}, "payment_method_update": {"enabled": True}}
    words = {"default_return_url": "http://shop.example/home", "name": "Mine", "metadata": {"a": "1"}}
    made = api.billing_portal.configurations.create({"features": features, **words})
    session = api.billing_portal.sessions.create({"customer": bob.id, "configuration": made.id})
    assert session.return_url == "http://shop.example/home"
    changes = {
        "default_return_url": "http://shop.example/b",
        "name": "New",
        "metadata": {"b": "2"},
        "active": False,
    }
    changed = api.billing_portal.configurations.update(made.id, changes)
    assert (changed.name, changed.metadata.to_dict()) == ("New", {"a": "1", "b": "2"})
    asked = {"active": False, "limit": 100}
    assert made.id in ids(api.billing_portal.configurations.list(asked))
    assert made.id not in ids(api.billing_portal.configurations.list({"active": True, "limit": 100}))


def test_an_endpoint_can_be_changed_and_switched_off(api: Any, hook: Hook) -> None:
    words = {"description": "d", "metadata": {"a": "1"}, "api_version": "2026-10-28.endive"}
    made = api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["price.created"], **words})
    assert made.api_version == "2026-10-28.endive"
    changes = {"url": hook.url + "2", "enabled_events": ["product.created"], "description": "e"}
    changed = api.webhook_endpoints.update(made.id, {**changes, "metadata": {"b": "2"}, "disabled": True})
    assert (changed.url, changed.enabled_events, changed.status) == (
        hook.url + "2",
        ["product.created"],
        "disabled",
    )
    assert (changed.description, changed.metadata.to_dict()) == ("e", {"a": "1", "b": "2"})
    api.webhook_endpoints.delete(made.id)


def test_events_are_found_by_their_types_and_sent_again(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    made = api.products.create({"name": "Heard twice"})
    newest = api.events.list({"types": ["product.created", "price.created"], "limit": 1}).data[0]
    assert newest.data.object.id == made.id
    endpoint = api.webhook_endpoints.list().data[0]
    sandbox.post(f"/v1/events/{newest.id}/retry", {"webhook_endpoint": endpoint.id})
    sandbox.config("deliveries/flush")
    assert hook.objects("product.created").count(made.id) == 2
