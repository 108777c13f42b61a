"""Changing a plan: proration, exact previews, and schedules that change it at the renewal."""

from typing import Any

import pytest
import stripe

DAY = 86400


def test_a_dearer_plan_charges_the_difference_for_the_rest_of_the_period(
    api: Any, bob: Any, product: Any, monthly: Any
) -> None:
    terms = {"unit_amount": 9999, "currency": "usd", "recurring": {"interval": "month"}}
    dear = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    change = {
        "items": [{"id": made["items"].data[0].id, "price": dear.id}],
        "proration_behavior": "always_invoice",
    }
    after = api.subscriptions.update(made.id, {**change, "expand": ["latest_invoice"]})
    invoice = after.latest_invoice
    assert (invoice.billing_reason, invoice.status, invoice.total) == ("subscription_update", "paid", 5000)
    assert [line.amount for line in invoice.lines.data] == [-4999, 9999]
    assert all(line.parent.invoice_item_details.proration for line in invoice.lines.data)


def test_a_cheaper_plan_leaves_a_credit_with_the_customer(api: Any, bob: Any, product: Any, monthly: Any) -> None:
    terms = {"unit_amount": 1999, "currency": "usd", "recurring": {"interval": "month"}}
    cheap = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    change = {
        "items": [{"id": made["items"].data[0].id, "price": cheap.id}],
        "proration_behavior": "always_invoice",
    }
    after = api.subscriptions.update(made.id, {**change, "expand": ["latest_invoice"]})
    assert (after.latest_invoice.total, after.latest_invoice.amount_due) == (-3000, 0)
    assert api.customers.retrieve(bob.id).balance == -3000


def test_a_preview_says_what_a_change_costs_and_changes_nothing(
    api: Any, bob: Any, product: Any, monthly: Any
) -> None:
    terms = {"unit_amount": 9999, "currency": "usd", "recurring": {"interval": "month"}}
    dear = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    events = api.events.list({"limit": 1}).data[0].id
    items = [{"id": made["items"].data[0].id, "price": dear.id}]
    details = {"items": items, "proration_behavior": "always_invoice"}
    today = api.invoices.create_preview({"subscription": made.id, "subscription_details": details})
    assert (today.total, [line.amount for line in today.lines.data]) == (5000, [-4999, 9999])
    later = api.invoices.create_preview({"subscription": made.id, "subscription_details": {"items": items}})
    assert later.total == 9999 + 5000
    assert later.lines.data[0].period.start == made["items"].data[0].current_period_end
    assert api.subscriptions.retrieve(made.id)["items"].data[0].price.id == monthly.id
    assert api.events.list({"limit": 1}).data[0].id == events


@pytest.fixture
def yearly(api: Any, product: Any) -> Any:
    """$479.99 a year."""
    terms = {"unit_amount": 47999, "currency": "usd", "recurring": {"interval": "year"}}
    return api.prices.create({"product": product.id, **terms})


@pytest.fixture
def cheap(api: Any, product: Any) -> Any:
    """$19.99 a month."""
    terms = {"unit_amount": 1999, "currency": "usd", "recurring": {"interval": "month"}}
    return api.prices.create({"product": product.id, **terms})


@pytest.fixture
def clock(api: Any) -> Any:
    return api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})


@pytest.fixture
def running(api: Any, clock: Any, monthly: Any) -> Any:
    """A plan of $49.99 a month on a clock, ten days old."""
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    dan = api.customers.create({"test_clock": clock.id, **card})
    made = api.subscriptions.create({"customer": dan.id, "items": [{"price": monthly.id}]})
    advance(api, clock, 10 * DAY)
    return made


def advance(api: Any, clock: Any, seconds: int) -> None:
    now = api.test_helpers.test_clocks.retrieve(clock.id).frozen_time
    api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": now + seconds})


def lines(invoice: Any) -> list[tuple[Any, ...]]:
    """Return the lines of an invoice, and its total."""
    kept = [
        (line.description, line.amount, line.quantity, line.pricing.price_details.price)
        for line in invoice.lines.data
    ]
    return [*kept, (invoice.subtotal, invoice.total, invoice.starting_balance, invoice.amount_due)]


@pytest.mark.parametrize("price", ["cheap", "yearly"])
@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations", "none"])
def test_a_preview_lists_what_the_change_then_bills(
    request: pytest.FixtureRequest, api: Any, clock: Any, running: Any, price: str, behavior: str
) -> None:
    items = [{"id": running["items"].data[0].id, "price": request.getfixturevalue(price).id}]
    moment = api.test_helpers.test_clocks.retrieve(clock.id).frozen_time
    change = {"items": items, "proration_behavior": behavior, "proration_date": moment}
    shown = api.invoices.create_preview({"subscription": running.id, "subscription_details": change})
    advance(api, clock, 60)
    changed = api.subscriptions.update(running.id, change)
    if changed.latest_invoice == running.latest_invoice:
        advance(api, clock, 22 * DAY)  # to the renewal, which then bills it
    newest = api.subscriptions.retrieve(running.id, {"expand": ["latest_invoice"]}).latest_invoice
    assert newest.id != running.latest_invoice
    assert lines(shown) == lines(newest)


def test_a_year_begins_now_and_is_paid_for_with_what_is_left_of_the_month(
    api: Any, clock: Any, running: Any, yearly: Any
) -> None:
    change = {"items": [{"id": running["items"].data[0].id, "price": yearly.id}]}
    after = api.subscriptions.update(running.id, {**change, "expand": ["latest_invoice"]})
    paid = after.latest_invoice
    assert [line.amount for line in paid.lines.data] == [47999, paid.total - 47999]
    assert 0 < paid.total < 47999
    now = api.test_helpers.test_clocks.retrieve(clock.id).frozen_time
    item = after["items"].data[0]
    assert (after.billing_cycle_anchor, item.current_period_start) == (now, now)
    assert item.current_period_end - now in (365 * DAY, 366 * DAY)


def test_a_preview_of_cancelling_credits_what_is_not_used(api: Any, running: Any) -> None:
    shown = api.invoices.create_preview({"subscription": running.id, "subscription_details": {"cancel_now": True}})
    assert -4999 < shown.total < 0
    ended = api.subscriptions.cancel(running.id, {"prorate": True, "invoice_now": True})
    assert ended.status == "canceled"
    assert lines(api.invoices.retrieve(ended.latest_invoice)) == lines(shown)


def test_there_is_no_next_invoice_for_what_ends(api: Any, running: Any) -> None:
    api.subscriptions.update(running.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as raised:
        api.invoices.create_preview({"subscription": running.id})
    assert raised.value.code == "invoice_upcoming_none"


def test_a_change_can_wait_until_it_is_paid(api: Any, running: Any, yearly: Any) -> None:
    fails = api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": running.customer})
    api.customers.update(running.customer, {"invoice_settings": {"default_payment_method": fails.id}})
    change = {"items": [{"id": running["items"].data[0].id, "price": yearly.id}]}
    with pytest.raises(stripe.CardError):
        api.subscriptions.update(running.id, {**change, "payment_behavior": "error_if_incomplete"})
    assert api.subscriptions.retrieve(running.id).latest_invoice == running.latest_invoice
    waiting = api.subscriptions.update(running.id, {**change, "payment_behavior": "pending_if_incomplete"})
    assert (waiting.status, waiting["items"].data[0].price.unit_amount) == ("active", 4999)
    assert waiting.pending_update.subscription_items[0].price.id == yearly.id
    api.invoices.pay(waiting.latest_invoice, {"payment_method": "pm_card_visa"})
    done = api.subscriptions.retrieve(running.id)
    assert (done["items"].data[0].price.id, done.pending_update) == (yearly.id, None)


def downgrade(api: Any, running: Any, price: Any) -> Any:
    """Schedule another price for the next renewal."""
    made = api.subscription_schedules.create({"from_subscription": running.id})
    now = made.phases[0]
    same = [{"price": now["items"][0].price, "quantity": 1}]
    phases = [
        {"items": same, "start_date": now.start_date, "end_date": now.end_date},
        {"items": [{"price": price.id, "quantity": 1}], "proration_behavior": "none"},
    ]
    return api.subscription_schedules.update(made.id, {"phases": phases, "end_behavior": "release"})


@pytest.mark.parametrize("price", ["cheap", "yearly"])
def test_a_schedule_changes_the_plan_with_the_renewal(
    request: pytest.FixtureRequest, api: Any, clock: Any, running: Any, price: str
) -> None:
    wanted = request.getfixturevalue(price)
    made = downgrade(api, running, wanted)
    assert (made.status, len(made.phases), made.current_phase.end_date) == ("active", 2, made.phases[0].end_date)
    assert api.subscriptions.retrieve(running.id).schedule == made.id
    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        api.subscriptions.update(running.id, {"cancel_at_period_end": True})
    shown = api.invoices.create_preview({"subscription": running.id})
    advance(api, clock, 22 * DAY)
    after = api.subscriptions.retrieve(running.id, {"expand": ["latest_invoice", "schedule"]})
    assert after["items"].data[0].price.id == wanted.id
    assert lines(after.latest_invoice) == lines(shown)
    assert after.latest_invoice.total == wanted.unit_amount
    assert after.schedule.current_phase.start_date == made.phases[0].end_date
    advance(api, clock, 32 * DAY if price == "cheap" else 370 * DAY)
    assert api.subscriptions.retrieve(running.id).schedule is None
    assert api.subscription_schedules.retrieve(made.id).status == "completed"


def test_a_schedule_that_is_released_changes_nothing(api: Any, clock: Any, running: Any, cheap: Any) -> None:
    made = downgrade(api, running, cheap)
    assert api.subscription_schedules.release(made.id).status == "released"
    assert api.subscriptions.retrieve(running.id).schedule is None
    advance(api, clock, 22 * DAY)
    assert api.subscriptions.retrieve(running.id)["items"].data[0].price.unit_amount == 4999
    types = {event.type for event in api.events.list({"type": "subscription_schedule.*", "limit": 20}).data}
    assert {f"subscription_schedule.{word}" for word in ("created", "updated", "released")} <= types


def test_a_schedule_ends_with_its_subscription(api: Any, running: Any, cheap: Any) -> None:
    made = downgrade(api, running, cheap)
    assert api.subscription_schedules.cancel(made.id).status == "canceled"
    assert api.subscriptions.retrieve(running.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        api.subscription_schedules.release(made.id)


@pytest.mark.parametrize("why", ["sepa_debit", "send_invoice"])
def test_only_cards_have_changes_that_wait(api: Any, running: Any, yearly: Any, why: str) -> None:
    if why == "sepa_debit":
        iban = {"iban": "AT611904300234573201"}
        made = api.payment_methods.create({"type": "sepa_debit", "sepa_debit": iban})
        api.payment_methods.attach(made.id, {"customer": running.customer})
        api.subscriptions.update(running.id, {"default_payment_method": made.id})
    else:
        api.subscriptions.update(running.id, {"collection_method": "send_invoice", "days_until_due": 7})
    change = {"items": [{"id": running["items"].data[0].id, "price": yearly.id}]}
    with pytest.raises(stripe.InvalidRequestError) as raised:
        api.subscriptions.update(running.id, {**change, "payment_behavior": "pending_if_incomplete"})
    assert raised.value.param == "payment_behavior"
    assert api.subscriptions.retrieve(running.id)["items"].data[0].price.id != yearly.id


@pytest.mark.parametrize("carried", [True, False])
def test_a_phase_has_the_discounts_that_it_names(
    api: Any, clock: Any, running: Any, cheap: Any, carried: bool
) -> None:
    coupon = api.coupons.create({"percent_off": 50, "duration": "forever"})
    given = api.subscriptions.update(running.id, {"discounts": [{"coupon": coupon.id}]})
    made = api.subscription_schedules.create({"from_subscription": running.id})
    now, own = made.phases[0], given.discounts[0]
    assert [one.discount for one in now.discounts] == [own]
    kept = {"discounts": [{"discount": own}]} if carried else {}
    same = [{"price": now["items"][0].price, "quantity": 1}]
    phases = [
        {"items": same, "start_date": now.start_date, "end_date": now.end_date, "discounts": [{"discount": own}]},
        {"items": [{"price": cheap.id, "quantity": 1}], "proration_behavior": "none", **kept},
    ]
    api.subscription_schedules.update(made.id, {"phases": phases, "end_behavior": "release"})
    assert api.subscriptions.retrieve(running.id).discounts == [own]
    advance(api, clock, 22 * DAY)
    after = api.subscriptions.retrieve(running.id, {"expand": ["latest_invoice"]})
    assert after.discounts == ([own] if carried else [])
    assert after.latest_invoice.total == (cheap.unit_amount // 2 if carried else cheap.unit_amount)


def test_a_phase_begins_new_discounts(api: Any, running: Any) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    tenth = api.coupons.create({"percent_off": 10, "duration": "forever"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": tenth.id}})
    made = api.subscription_schedules.create({"from_subscription": running.id})
    now = made.phases[0]
    same = {"items": [{"price": now["items"][0].price, "quantity": 1}], "start_date": now.start_date}
    wanted = [{"coupon": half.id}, {"promotion_code": code.id}]
    api.subscription_schedules.update(
        made.id, {"phases": [{**same, "end_date": now.end_date, "discounts": wanted}]}
    )
    found = api.subscriptions.retrieve(running.id, {"expand": ["discounts"]})
    assert [one.source.coupon for one in found.discounts] == [half.id, tenth.id]
