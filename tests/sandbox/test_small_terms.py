"""Parameters of single objects, each with its effect."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import START, advance, use_card
from tests.sandbox.conftest import Sandbox
from tests.sandbox.hosted import visit

DAY = 86400


def newest(api: Any, customer: Any) -> Any:
    return api.invoices.list({"customer": customer.id, "limit": 1}).data[0]


def test_a_price_is_made_archived_and_found_by_its_key(api: Any, product: Any, bob: Any) -> None:
    terms = {"product": product.id, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    key = f"key-{time.time_ns()}"
    made = api.prices.create({**terms, "lookup_key": key, "active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        api.subscriptions.create({"customer": bob.id, "items": [{"price": made.id}]})
    assert [one.id for one in api.prices.list({"lookup_keys": [key]}).data] == [made.id]


def test_an_invoice_names_its_customer(api: Any, once: Any) -> None:
    dora = api.customers.create({"email": "dora@example.com", "name": "Dora"})
    invoice = api.invoices.create({"customer": dora.id})
    assert (invoice.customer_email, invoice.customer_name) == ("dora@example.com", "Dora")


def test_a_coupon_lasts_as_long_as_it_says(api: Any, carol: Any, clock: Any, monthly: Any) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    terms = {"customer": carol.id, "items": [{"price": monthly.id}], "discounts": [{"coupon": half.id}]}
    api.subscriptions.create(terms)
    advance(api, clock, days=29)
    assert newest(api, carol).total == 2499


def test_a_checkout_shows_the_coupons_name_and_the_way_back(
    api: Any, begin: Callable[..., Any], once: Any, alice: Any
) -> None:
    spring = api.coupons.create({"percent_off": 50, "name": "Spring sale"})
    terms = {"customer": alice.id, "client_reference_id": "user-7"}
    session = begin("payment", once, discounts=[{"coupon": spring.id}], **terms)
    page = visit(session.url).text
    assert all(words in page for words in ("Spring sale", "http://shop.example/back", "alice@example.com"))
    assert (session.customer, session.client_reference_id) == (alice.id, "user-7")


def test_a_promotion_code_is_switched_off_and_ends(api: Any, carol: Any, clock: Any, monthly: Any) -> None:
    coupon = api.coupons.create({"percent_off": 20, "duration": "forever"})
    terms = {"promotion": {"type": "coupon", "coupon": coupon.id}}
    off = api.promotion_codes.create({**terms, "active": False})
    short = api.promotion_codes.create({**terms, "expires_at": START + DAY})
    advance(api, clock, days=2)
    for code, why in ((off, "inactive"), (short, "expired")):
        asked = {"customer": carol.id, "items": [{"price": monthly.id}]}
        with pytest.raises(stripe.InvalidRequestError) as refused:
            api.subscriptions.create({**asked, "discounts": [{"promotion_code": code.id}]})
        assert refused.value.code == f"promotion_code_{why}"


def test_a_change_is_prorated_as_of_a_date(api: Any, carol: Any, clock: Any, monthly: Any, product: Any) -> None:
    """As of the beginning a change costs the whole difference, as of now only that of what is left."""
    terms = {"product": product.id, "currency": "usd", "unit_amount": 9999, "recurring": {"interval": "month"}}
    dear = api.prices.create(terms)
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    advance(api, clock, days=14)
    items = [{"id": made["items"].data[0].id, "price": dear.id}]
    change = {"items": items, "proration_behavior": "always_invoice", "proration_date": START}
    shown = api.invoices.create_preview({"subscription": made.id, "subscription_details": change})
    assert shown.total == 5000
    api.subscriptions.update(made.id, change)
    assert newest(api, carol).total == 5000


def test_items_are_prorated_as_of_a_date_and_paid_at_once(
    api: Any, carol: Any, clock: Any, monthly: Any, product: Any
) -> None:
    terms = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}}
    seat, desk = (api.prices.create({**terms, "unit_amount": amount}) for amount in (1000, 5000))
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    advance(api, clock, days=14)
    now = {"proration_behavior": "always_invoice", "proration_date": START}
    now["payment_behavior"] = "error_if_incomplete"
    item = api.subscription_items.create({"subscription": made.id, "price": seat.id, **now})
    assert newest(api, carol).total == 1000
    api.subscription_items.update(item.id, {"price": desk.id, **now})
    assert newest(api, carol).total == 4000
    use_card(api, carol, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        api.subscription_items.update(item.id, {"quantity": 2, **now})
    table = api.prices.create({**terms, "unit_amount": 7000})
    with pytest.raises(stripe.CardError):
        api.subscription_items.create({"subscription": made.id, "price": table.id, **now})
    taken = {"proration_behavior": "always_invoice", "proration_date": START}
    api.subscription_items.delete(item.id, taken)
    assert newest(api, carol).total == -5000


def test_a_draft_is_charged_by_itself(api: Any, carol: Any, clock: Any) -> None:
    made = api.invoices.create({"customer": carol.id, "auto_advance": True})
    api.invoice_items.create({"customer": carol.id, "invoice": made.id, "amount": 900, "currency": "usd"})
    advance(api, clock, hours=2)
    assert api.invoices.retrieve(made.id).status == "paid"


def test_a_sent_invoice_becomes_one_that_is_charged(api: Any, carol: Any, clock: Any) -> None:
    terms = {"collection_method": "send_invoice", "days_until_due": 5}
    sent, charged = (api.invoices.create({"customer": carol.id, **terms}) for _ in range(2))
    assert (sent.collection_method, sent.auto_advance) == ("send_invoice", False)
    amex = api.payment_methods.attach("pm_card_amex", {"customer": carol.id}).id
    for invoice in (sent, charged):
        item = {"customer": carol.id, "invoice": invoice.id, "amount": 900, "currency": "usd"}
        api.invoice_items.create(item)
    changes = {"collection_method": "charge_automatically", "default_payment_method": amex, "auto_advance": True}
    api.invoices.update(charged.id, changes)
    advance(api, clock, hours=2)
    expanded = {"expand": ["payments.data.payment.payment_intent"]}
    paid = api.invoices.retrieve(charged.id, expanded)
    assert (paid.status, paid.payments.data[0].payment.payment_intent.payment_method) == ("paid", amex)
    assert api.invoices.retrieve(sent.id).status == "draft"


def test_a_setup_intent_is_made_for_somebody(api: Any, bob: Any) -> None:
    words = {"customer": bob.id, "description": "for later", "allowed_payment_method_types": ["sepa_debit"]}
    made = api.setup_intents.create(words)
    assert (made.customer, made.description) == (bob.id, "for later")
    assert made.payment_method_types == ["sepa_debit"]


def test_a_preview_of_an_end_has_no_next_invoice(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    asked = {"subscription": made.id, "subscription_details": {"cancel_at_period_end": True}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.invoices.create_preview(asked)
    assert refused.value.code == "invoice_upcoming_none"
    asked["subscription_details"] = {"cancel_at_period_end": False}
    assert api.invoices.create_preview(asked).total == 4999
    end = made["items"].data[0].current_period_end
    asked["subscription_details"] = {"cancel_at": end - DAY}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.invoices.create_preview(asked)
    assert refused.value.code == "invoice_upcoming_none"
    asked["subscription_details"] = {"cancel_at": end + DAY}
    of_a_day = {(2 * 4999 + days) // (2 * days) for days in range(28, 32)}
    assert api.invoices.create_preview(asked).total in of_a_day


def test_a_configuration_has_a_name_and_a_way_back(api: Any, bob: Any) -> None:
    features = {"invoice_history": {"enabled": True}}
    made = api.billing_portal.configurations.create({"features": features, "name": "Mine"})
    assert made.name == "Mine"
    api.billing_portal.configurations.update(made.id, {"default_return_url": "http://shop.example/b"})
    session = api.billing_portal.sessions.create({"customer": bob.id, "configuration": made.id})
    assert session.return_url == "http://shop.example/b"


def test_names_and_notes_are_kept(api: Any, clock: Any, bob: Any, hook: Any) -> None:
    assert clock.name == "winter"
    words = {"url": hook.url, "enabled_events": ["price.created"], "description": "prices"}
    endpoint = api.webhook_endpoints.create(words)
    assert endpoint.description == "prices"
    api.webhook_endpoints.delete(endpoint.id)
    invoice = api.invoices.create({"customer": bob.id})
    api.invoice_items.create({"customer": bob.id, "invoice": invoice.id, "amount": 900, "currency": "usd"})
    api.invoices.finalize_invoice(invoice.id)
    note = api.credit_notes.create({"invoice": invoice.id, "amount": 100, "metadata": {"a": "1"}})
    assert api.credit_notes.update(note.id, {"metadata": {"b": "2"}}).metadata.to_dict() == {"a": "1", "b": "2"}


def test_a_subscription_resumes_in_its_old_cycle_or_although_nobody_paid(
    api: Any, carol: Any, monthly: Any
) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    api.subscriptions.pause(made.id)
    resumed = api.subscriptions.resume(made.id, {"billing_cycle_anchor": "unchanged"})
    assert (resumed.status, resumed.latest_invoice) == ("active", made.latest_invoice)
    api.subscriptions.pause(made.id)
    use_card(api, carol, "pm_card_chargeCustomerFail")
    tried = api.subscriptions.resume(made.id, {"payment_behavior": "resume_on_payment_attempt"})
    assert tried.status == "past_due"


def test_a_schedule_is_cancelled_without_a_last_bill(api: Any, carol: Any, clock: Any, monthly: Any) -> None:
    for terms, last, waits in (
        ({"invoice_now": False, "prorate": False}, 4999, 0),
        ({"invoice_now": True, "prorate": False}, 0, 0),
        ({"invoice_now": False, "prorate": True}, 4999, 1),
    ):
        made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
        schedule = api.subscription_schedules.create({"from_subscription": made.id})
        advance(api, clock, days=1)
        api.subscription_schedules.cancel(schedule.id, terms)
        assert newest(api, carol).total == last
        assert len(api.invoice_items.list({"customer": carol.id, "pending": True}).data) == waits


def test_a_trial_of_days_is_free(api: Any, bob: Any, monthly: Any) -> None:
    terms = {"customer": bob.id, "items": [{"price": monthly.id}], "trial_period_days": 5}
    made = api.subscriptions.create(terms)
    assert (made.status, made.trial_end - made.trial_start) == ("trialing", 5 * DAY)


def test_a_confirmation_is_on_or_off_session(api: Any) -> None:
    made = api.payment_intents.create({"amount": 700, "currency": "usd"})
    asks = {"payment_method": "pm_card_authenticationRequired", "off_session": True}
    with pytest.raises(stripe.CardError) as declined:
        api.payment_intents.confirm(made.id, asks)
    assert declined.value.code == "authentication_required"
    works = {"payment_method": "pm_card_visa", "off_session": True}
    assert api.payment_intents.confirm(made.id, works).status == "succeeded"


def test_a_payment_page_knows_the_amount(sandbox: Sandbox, begin: Callable[..., Any], once: Any) -> None:
    path = f"/v1/payment_pages/{begin('payment', once).id}/confirm"
    wrong = sandbox.post(path, {"payment_method": "pm_card_visa", "expected_amount": "1"})
    assert wrong.json()["error"]["param"] == "expected_amount"
    assert sandbox.post(path, {"payment_method": "pm_card_visa", "expected_amount": "1500"}).ok


def test_an_item_waits_for_its_subscription(api: Any, bob: Any, monthly: Any) -> None:
    running = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    item = {"customer": bob.id, "amount": 300, "currency": "usd"}
    api.invoice_items.create({**item, "subscription": running.id})
    terms = {"customer": bob.id, "pending_invoice_items_behavior": "include"}
    assert api.invoices.create(terms).total == 0
    assert api.invoices.create({**terms, "subscription": running.id}).total == 300


def test_an_invoice_is_paid_on_or_off_session(api: Any, bob: Any) -> None:
    invoice = api.invoices.create({"customer": bob.id})
    api.invoice_items.create({"customer": bob.id, "invoice": invoice.id, "amount": 900, "currency": "usd"})
    asks = api.payment_methods.attach("pm_card_authenticationRequired", {"customer": bob.id}).id
    with pytest.raises(stripe.CardError) as declined:
        api.invoices.pay(invoice.id, {"payment_method": asks, "off_session": True})
    assert declined.value.code == "authentication_required"
    assert api.invoices.pay(invoice.id, {"off_session": True}).status == "paid"
