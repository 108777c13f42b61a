"""Subscriptions that wait: trials without a card, pauses, renewals that the bank asks about; and cancellation."""

from typing import Any

import pytest
import stripe

from tests.sandbox.hosted import submit, visit

DAY = 86400
START = 1_800_000_000


@pytest.fixture
def clock(api: Any) -> Any:
    return api.test_helpers.test_clocks.create({"frozen_time": START})


@pytest.fixture
def dan(api: Any, clock: Any) -> Any:
    """A customer on the clock, without a card."""
    return api.customers.create({"test_clock": clock.id, "email": "dan@example.com"})


def use_card(api: Any, customer: str, card: str) -> None:
    method = api.payment_methods.attach(card, {"customer": customer})
    api.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})


def advance(api: Any, clock: Any, seconds: int) -> None:
    now = api.test_helpers.test_clocks.retrieve(clock.id).frozen_time
    api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": now + seconds})


def events(api: Any, id_: str) -> list[str]:
    """Return the events of an object, newest first."""
    return [event.type for event in api.events.list({"limit": 30}).data if event.data.object.id == id_]


@pytest.mark.parametrize(
    ("behavior", "status", "event"),
    [
        ("cancel", "canceled", "customer.subscription.deleted"),
        ("pause", "paused", "customer.subscription.paused"),
        ("create_invoice", "past_due", "customer.subscription.updated"),
    ],
)
def test_a_trial_without_a_card_ends_as_its_settings_say(
    api: Any, clock: Any, dan: Any, monthly: Any, behavior: str, status: str, event: str
) -> None:
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    terms = {"customer": dan.id, "items": [{"price": monthly.id}], "trial_period_days": 7}
    made = api.subscriptions.create({**terms, "trial_settings": settings})
    advance(api, clock, 7 * DAY + 7200)
    assert api.subscriptions.retrieve(made.id).status == status
    said = events(api, made.id)
    assert said[0] == event
    assert "customer.subscription.trial_will_end" in said


def test_a_paused_trial_goes_on_once_there_is_a_card(api: Any, clock: Any, dan: Any, monthly: Any) -> None:
    terms = {"customer": dan.id, "items": [{"price": monthly.id}], "trial_period_days": 7}
    made = api.subscriptions.create(
        {**terms, "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}}
    )
    advance(api, clock, 8 * DAY)
    paused = api.subscriptions.retrieve(made.id)
    assert paused.status_details.paused.subscription.type == "trial_end_without_payment_method"
    use_card(api, dan.id, "pm_card_visa")
    resumed = api.subscriptions.resume(made.id, {"expand": ["latest_invoice"]})
    assert (resumed.status, resumed.status_details) == ("active", None)
    assert (resumed.latest_invoice.amount_paid, resumed.billing_cycle_anchor) == (4999, START + 8 * DAY)
    assert "customer.subscription.resumed" in events(api, made.id)


def test_a_pause_bills_nothing_until_it_is_over(api: Any, clock: Any, dan: Any, monthly: Any) -> None:
    use_card(api, dan.id, "pm_card_visa")
    made = api.subscriptions.create({"customer": dan.id, "items": [{"price": monthly.id}]})
    assert api.subscriptions.pause(made.id).status == "paused"
    advance(api, clock, 40 * DAY)
    assert len(api.invoices.list({"subscription": made.id}).data) == 1
    use_card(api, dan.id, "pm_card_chargeCustomerFail")
    waiting = api.subscriptions.resume(made.id)
    assert waiting.status == "paused"  # until it is paid
    api.invoices.pay(waiting.latest_invoice, {"payment_method": "pm_card_visa"})
    assert api.subscriptions.retrieve(made.id).status == "active"


@pytest.mark.parametrize(("answer", "status"), [("complete", "active"), ("fail", "past_due")])
def test_a_renewal_that_the_bank_asks_about_is_confirmed_on_its_page(
    api: Any, clock: Any, dan: Any, monthly: Any, answer: str, status: str
) -> None:
    use_card(api, dan.id, "pm_card_visa")
    made = api.subscriptions.create({"customer": dan.id, "items": [{"price": monthly.id}]})
    use_card(api, dan.id, "pm_card_authenticationRequired")
    advance(api, clock, 31 * DAY + 7200)
    waiting = api.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]})
    invoice = waiting.latest_invoice
    assert (waiting.status, invoice.status, invoice.attempt_count) == ("past_due", "open", 1)
    assert events(api, invoice.id)[:2] == ["invoice.payment_action_required", "invoice.payment_failed"]
    assert "Confirm payment" in visit(invoice.hosted_invoice_url).text
    asked = submit(f"{invoice.hosted_invoice_url}/authenticate").leads_to
    origin = invoice.hosted_invoice_url.split("/i/")[0]
    assert submit(origin + asked, answer=answer).leads_to == invoice.hosted_invoice_url
    assert api.subscriptions.retrieve(made.id).status == status


def test_nobody_is_charged_after_leaving(api: Any, clock: Any, dan: Any, monthly: Any) -> None:
    use_card(api, dan.id, "pm_card_visa")
    made = api.subscriptions.create({"customer": dan.id, "items": [{"price": monthly.id}]})
    use_card(api, dan.id, "pm_card_chargeCustomerFail")
    advance(api, clock, 31 * DAY + 7200)
    use_card(api, dan.id, "pm_card_visa")
    ended = api.subscriptions.cancel(made.id)
    left = api.invoices.retrieve(ended.latest_invoice)
    assert (left.status, left.auto_advance, left.next_payment_attempt) == ("open", False, None)
    advance(api, clock, 30 * DAY)
    assert api.invoices.retrieve(left.id).status == "open"
    assert api.invoices.void_invoice(left.id).status == "void"


def test_an_invoice_that_advances_by_itself_is_charged(api: Any, clock: Any, dan: Any) -> None:
    use_card(api, dan.id, "pm_card_visa")
    draft = api.invoices.create({"customer": dan.id, "auto_advance": True})
    api.invoice_items.create({"customer": dan.id, "invoice": draft.id, "amount": 700, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError):
        api.invoices.pay(draft.id, {"payment_method": "pm_nothing"})
    advance(api, clock, 3500)
    assert api.invoices.retrieve(draft.id).status == "draft"
    advance(api, clock, 200)
    assert api.invoices.retrieve(draft.id).status == "paid"
