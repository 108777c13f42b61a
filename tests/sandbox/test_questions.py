"""What a checkout asks its buyer, who may buy how often, and how an expired session is recovered."""

from collections.abc import Callable
from typing import Any

from tests.sandbox.hosted import submit, visit

TEXT = {"custom": "Order number", "type": "custom"}
FIELDS = [
    {"key": "order", "label": TEXT, "type": "numeric", "numeric": {"minimum_length": 3, "maximum_length": 5}},
    {"key": "note", "label": TEXT, "type": "text", "optional": True, "text": {"default_value": "none"}},
    {
        "key": "size",
        "label": {"custom": "Size", "type": "custom"},
        "type": "dropdown",
        "dropdown": {"options": [{"label": "Small", "value": "s"}, {"label": "Large", "value": "l"}]},
    },
]
QUESTIONS = {
    "phone_number_collection": {"enabled": True},
    "custom_fields": FIELDS,
    "consent_collection": {"terms_of_service": "required", "promotions": "auto"},
    "custom_text": {
        "submit": {"message": "Read this first."},
        "after_submit": {"message": "Read this last."},
        "terms_of_service_acceptance": {"message": "I agree to everything."},
    },
    "submit_type": "book",
}
ANSWERS = {
    "phone": "+1 555 0100",
    "custom_order": "12345",
    "custom_size": "l",
    "terms": "yes",
    "promotions": "yes",
}


def asked_and_answered(api: Any, session: Any) -> Any:
    url = session.url
    page = visit(url)
    for words in ("Order number", "(optional)", "Large", "Read this first.", "Read this last.", ">Book<"):
        assert words in page.text
    assert all(words in page.text for words in ("I agree to everything.", "news and offers", 'value="none"'))
    refused = submit(url, custom_order="12")
    assert refused.complaints == [
        "Enter a phone number.",
        "Enter 3 to 5 characters.",
        "Fill in this field.",
        "Accept the terms of service to continue.",
    ]
    assert submit(url, **ANSWERS).status == 303
    done = api.checkout.sessions.retrieve(session.id)
    values = {one.key: one[one.type].value for one in done.custom_fields}
    assert values == {"order": "12345", "note": None, "size": "l"}
    assert (done.consent.terms_of_service, done.consent.promotions) == ("accepted", "opt_in")
    assert done.customer_details.phone == "+1 555 0100"
    return done


def test_a_session_asks_its_buyer(api: Any, begin: Callable[..., Any], once: Any) -> None:
    done = asked_and_answered(api, begin("payment", once, customer_creation="always", **QUESTIONS))
    assert api.customers.retrieve(done.customer).phone == "+1 555 0100"


def test_a_payment_link_asks_its_buyers(api: Any, once: Any) -> None:
    link = api.payment_links.create({"line_items": [{"price": once.id, "quantity": 1}], **QUESTIONS})
    url = visit(link.url).response.url
    session = api.checkout.sessions.list({"payment_link": link.id}).data[0]
    assert session.url == url
    asked_and_answered(api, session)


def test_a_payment_link_is_switched_off_after_its_last_sale(api: Any, once: Any) -> None:
    terms = {"restrictions": {"completed_sessions": {"limit": 2}}, "inactive_message": "Sold out."}
    link = api.payment_links.create({"line_items": [{"price": once.id, "quantity": 1}], **terms})
    for _ in range(2):
        assert submit(visit(link.url).response.url).status == 303
    after = api.payment_links.retrieve(link.id)
    assert (after.active, after.restrictions.completed_sessions.count) == (False, 2)
    page = visit(link.url)
    assert (page.status, "Sold out." in page.text) == (410, True)


def test_a_payment_link_gets_a_limit_later(api: Any, once: Any) -> None:
    link = api.payment_links.create({"line_items": [{"price": once.id, "quantity": 1}]})
    limit = {"restrictions": {"completed_sessions": {"limit": 1}}, "inactive_message": "Gone."}
    api.payment_links.update(link.id, limit)
    submit(visit(link.url).response.url)
    assert "Gone." in visit(link.url).text
    again = api.payment_links.update(link.id, {"restrictions": "", "active": True})
    assert again.restrictions is None
    for _ in range(2):
        assert submit(visit(link.url).response.url).status == 303
    assert api.payment_links.retrieve(link.id).active


def test_an_expired_session_is_recovered(api: Any, begin: Callable[..., Any], once: Any) -> None:
    """https://docs.stripe.com/payments/checkout/abandoned-carts"""
    recovery = {"recovery": {"enabled": True, "allow_promotion_codes": True}}
    session = begin("payment", once, after_expiration=recovery, client_reference_id="7")
    assert session.after_expiration.recovery.url is None
    expired = api.checkout.sessions.expire(session.id).after_expiration.recovery
    assert expired.expires_at > session.expires_at
    url = visit(expired.url).response.url
    copy = next(one for one in api.checkout.sessions.list({"status": "open"}).data if one.url == url)
    assert (copy.recovered_from, copy.client_reference_id, copy.amount_total) == (session.id, "7", 1500)
    assert copy.allow_promotion_codes
    assert submit(url).status == 303
    plain = begin("payment", once)
    assert api.checkout.sessions.expire(plain.id).after_expiration is None


def test_a_checkout_asks_where_to_ship_to(api: Any, begin: Callable[..., Any], once: Any) -> None:
    """https://docs.stripe.com/payments/collect-addresses"""
    ships = {"shipping_address_collection": {"allowed_countries": ["DE", "FR"]}}
    ships["custom_text"] = {"shipping_address": {"message": "No islands."}}
    session = begin("payment", once, customer_creation="always", **ships)
    link = api.payment_links.create({"line_items": [{"price": once.id, "quantity": 1}], **ships})
    where = {"ship_name": "Bea", "ship_line1": "Hauptstr. 1", "ship_city": "Berlin", "ship_postal_code": "10115"}
    for url in (session.url, visit(link.url).response.url):
        page = visit(url).text
        assert all(words in page for words in ("No islands.", "Germany", "France"))
        assert "Austria" not in page
        assert submit(url, **where, ship_country="AT").complaints == ["Choose one of these."]
        assert len(submit(url, ship_country="DE").complaints) == 4
        assert submit(url, **where, ship_country="DE").status == 303
    sold = api.checkout.sessions.list({"payment_link": link.id}).data[0]
    for one in (api.checkout.sessions.retrieve(session.id), sold):
        details = one.collected_information.shipping_details
        assert (details.name, details.address.city, details.address.country) == ("Bea", "Berlin", "DE")
        assert api.payment_intents.retrieve(one.payment_intent).shipping.address.postal_code == "10115"
    buyer = api.customers.retrieve(api.checkout.sessions.retrieve(session.id).customer)
    assert (buyer.shipping.name, buyer.shipping.address.line1) == ("Bea", "Hauptstr. 1")
