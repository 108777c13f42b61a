"""The terms of subscriptions and schedules, given at the start or later."""

import time
from typing import Any

DAY = 86400


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def test_terms_are_kept_and_the_end_is_known_from_the_start(
    api: Any, bob: Any, monthly: Any, product: Any
) -> None:
    data = {"currency": "usd", "product": product.id, "unit_amount": 700, "recurring": {"interval": "month"}}
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": half.id}})
    ends = int(time.time()) + 40 * DAY
    made = api.subscriptions.create(
        {
            "customer": bob.id,
            "items": [{"price_data": data, "quantity": 3, "metadata": {"seat": "a"}}],
            "description": "three seats",
            "metadata": {"team": "red"},
            "discounts": [{"promotion_code": code.id}],
            "cancel_at": ends,
            "off_session": True,
        }
    )
    assert (made.status, made.cancel_at, made.cancel_at_period_end) == ("active", ends, False)
    assert (made.description, made.metadata.team, made["items"].data[0].metadata.seat) == (
        "three seats",
        "red",
        "a",
    )
    invoice = api.invoices.retrieve(made.latest_invoice)
    assert (invoice.subtotal, invoice.total) == (2100, 1050)
    assert invoice.parent.subscription_details.metadata.team == "red"


def test_a_subscription_may_end_with_its_first_period(api: Any, bob: Any, monthly: Any) -> None:
    asked = {"customer": bob.id, "items": [{"price": monthly.id}], "cancel_at_period_end": True}
    made = api.subscriptions.create(asked)
    assert made.cancel_at_period_end
    assert made.cancel_at == made["items"].data[0].current_period_end


def test_a_card_that_asks_is_declined_off_session(api: Any, alice: Any, monthly: Any) -> None:
    card = api.payment_methods.attach("pm_card_authenticationRequired", {"customer": alice.id})
    terms = {"items": [{"price": monthly.id}], "default_payment_method": card.id, "off_session": True}
    made = api.subscriptions.create({"customer": alice.id, **terms, "expand": ["latest_invoice.payments"]})
    intent = api.payment_intents.retrieve(made.latest_invoice.payments.data[0].payment.payment_intent)
    assert (made.status, intent.status) == ("incomplete", "requires_payment_method")


def test_an_invoice_is_sent_and_due_days_later(api: Any, alice: Any, monthly: Any) -> None:
    terms = {"collection_method": "send_invoice", "days_until_due": 7}
    made = api.subscriptions.create({"customer": alice.id, "items": [{"price": monthly.id}], **terms})
    invoice = api.invoices.retrieve(made.latest_invoice)
    # "one hour later when it's set to send_invoice": docs.stripe.com/billing/invoices/subscription
    assert (invoice.status, invoice.due_date) == ("draft", None)
    invoice = api.invoices.finalize_invoice(made.latest_invoice)
    assert (made.status, invoice.collection_method) == ("active", "send_invoice")
    assert invoice.due_date - invoice.created in range(7 * DAY - 5, 7 * DAY + 5)
    assert ids(api.subscriptions.list({"customer": alice.id, "collection_method": "send_invoice"})) == [made.id]
    assert ids(api.invoices.list({"customer": alice.id, "collection_method": "send_invoice"})) == [invoice.id]


def test_a_trial_may_end_at_a_moment(api: Any, bob: Any, monthly: Any) -> None:
    ends = int(time.time()) + 10 * DAY
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}], "trial_end": ends})
    assert (made.status, made.trial_end, made["items"].data[0].current_period_end) == ("trialing", ends, ends)


def test_terms_change_later(api: Any, bob: Any, monthly: Any) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    card = api.payment_methods.attach("pm_card_mastercard", {"customer": bob.id})
    changed = api.subscriptions.update(
        made.id,
        {
            "description": "more seats",
            "metadata": {"a": "1"},
            "default_payment_method": card.id,
            "items": [{"id": made["items"].data[0].id, "quantity": 2}],
            "discounts": [{"coupon": half.id}],
            "billing_cycle_anchor": "now",
            "proration_behavior": "none",
        },
    )
    assert (changed.description, changed.metadata.a) == ("more seats", "1")
    invoice = api.invoices.retrieve(changed.latest_invoice, {"expand": ["payments"]})
    assert (invoice.subtotal, invoice.total) == (9998, 4999)
    intent = api.payment_intents.retrieve(invoice.payments.data[0].payment.payment_intent)
    assert intent.payment_method == card.id


def test_a_date_and_reasons_for_the_end_can_be_given_later(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    ends = int(time.time()) + 9 * DAY
    why = {"comment": "moving", "feedback": "unused"}
    changed = api.subscriptions.update(made.id, {"cancel_at": ends, "cancellation_details": why})
    assert (changed.cancel_at, changed.cancellation_details.feedback) == (ends, "unused")
    over = api.subscriptions.cancel(made.id, {"cancellation_details": {"feedback": "low_quality"}})
    assert (over.cancellation_details.feedback, over.cancellation_details.comment) == ("low_quality", "moving")


def test_a_subscription_changes_to_sent_invoices(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    terms = {"collection_method": "send_invoice", "days_until_due": 3, "billing_cycle_anchor": "now"}
    quantity = {"items": [{"id": made["items"].data[0].id, "quantity": 2}], "proration_behavior": "none"}
    invoice = api.invoices.retrieve(api.subscriptions.update(made.id, {**terms, **quantity}).latest_invoice)
    assert (invoice.status, invoice.collection_method) == ("open", "send_invoice")
    assert invoice.due_date - invoice.created in range(3 * DAY - 5, 3 * DAY + 5)


def test_an_item_is_added_changed_and_removed(api: Any, bob: Any, monthly: Any, product: Any) -> None:
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}
    seat = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    moment = made["items"].data[0].current_period_start
    now = {
        "proration_behavior": "always_invoice",
        "proration_date": moment,
        "payment_behavior": "allow_incomplete",
    }
    new = {"subscription": made.id, "price": seat.id, "quantity": 2, "metadata": {"a": "1"}}
    item = api.subscription_items.create({**new, **now})
    assert (item.quantity, item.metadata.a) == (2, "1")
    assert newest_total(api, made) == 2000
    desk = api.prices.create({"product": product.id, **terms, "unit_amount": 5000})
    api.subscription_items.update(item.id, {"price": desk.id, "quantity": 1, **now})
    assert newest_total(api, made) == 5000 - 2000
    assert item.id in ids(api.subscription_items.list({"subscription": made.id}))
    api.subscription_items.delete(item.id, {"proration_behavior": "always_invoice", "proration_date": moment})
    assert newest_total(api, made) == -5000
    assert item.id not in ids(api.subscription_items.list({"subscription": made.id}))


def newest_total(api: Any, subscription: Any) -> int:
    """Return the total of the subscription's newest invoice."""
    return api.invoices.retrieve(api.subscriptions.retrieve(subscription.id).latest_invoice).total


def test_an_item_is_deleted_with_an_update(api: Any, bob: Any, monthly: Any, product: Any) -> None:
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}
    seat = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}, {"price": seat.id}]})
    gone = made["items"].data[1].id
    changed = api.subscriptions.update(made.id, {"items": [{"id": gone, "deleted": True}]})
    assert ids(changed["items"]) == [made["items"].data[0].id]


def test_a_paused_subscription_resumes_with_a_new_cycle(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    api.subscriptions.pause(made.id)
    terms = {"billing_cycle_anchor": "now", "payment_behavior": "resume_on_payment_attempt"}
    resumed = api.subscriptions.resume(made.id, terms)
    assert (resumed.status, resumed.latest_invoice == made.latest_invoice) == ("active", False)


def test_subscriptions_are_found(api: Any, bob: Any, monthly: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    frozen = api.customers.create({"test_clock": clock.id})
    terms = {"items": [{"price": monthly.id}], "payment_behavior": "default_incomplete"}
    made = api.subscriptions.create({"customer": frozen.id, **terms})
    own = api.subscriptions.create({"customer": bob.id, **terms})
    assert ids(api.subscriptions.list({"test_clock": clock.id})) == [made.id]
    assert ids(api.subscriptions.list({"price": monthly.id})) == [own.id, made.id]


def test_a_schedule_lasts_as_long_as_its_phases_say(api: Any, bob: Any, monthly: Any, product: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id, "quantity": 1}]})
    schedule = api.subscription_schedules.create({"from_subscription": made.id, "metadata": {"b": "2"}})
    start = schedule.phases[0].start_date
    first = {"start_date": start, "duration": {"interval": "month", "interval_count": 2}}
    first |= {"items": [{"price": monthly.id, "quantity": 3}], "metadata": {"p": "1"}, "description": "more"}
    changed = api.subscription_schedules.update(
        schedule.id, {"phases": [first], "proration_behavior": "always_invoice", "metadata": {"a": "1"}}
    )
    phase = changed.phases[0]
    assert 59 * DAY <= phase.end_date - phase.start_date <= 62 * DAY
    assert (changed.metadata.to_dict(), phase.metadata.p) == ({"a": "1", "b": "2"}, "1")
    assert newest_total(api, made) == 2 * 4999
    found = api.subscriptions.retrieve(made.id)
    assert (found.description, found.metadata.to_dict()) == ("more", {"p": "1"})
    assert ids(api.subscription_schedules.list({"customer": bob.id})) == [schedule.id]
    over = api.subscription_schedules.cancel(schedule.id, {"invoice_now": False, "prorate": False})
    assert (over.status, api.subscriptions.retrieve(made.id).status) == ("canceled", "canceled")


def test_a_trial_can_be_ended_by_hand(api: Any, bob: Any, monthly: Any) -> None:
    terms = {"customer": bob.id, "items": [{"price": monthly.id}], "trial_period_days": 5}
    made = api.subscriptions.create(terms)
    ended = api.subscriptions.update(made.id, {"trial_end": "now"})
    assert (ended.status, newest_total(api, made)) == ("active", 4999)


def test_discounts_can_be_taken_away(api: Any, bob: Any, monthly: Any) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    terms = {"customer": bob.id, "items": [{"price": monthly.id}], "discounts": [{"coupon": half.id}]}
    made = api.subscriptions.create(terms)
    assert api.invoices.create_preview({"subscription": made.id}).total == 2499
    assert api.invoices.create_preview({"subscription": made.id, "discounts": ""}).total == 4999
    assert api.subscriptions.update(made.id, {"discounts": ""}).discounts == []
    gone = api.events.list({"type": "customer.discount.deleted", "limit": 1}).data[0]
    assert gone.data.object.id == made.discounts[0]
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999
