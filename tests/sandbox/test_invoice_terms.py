"""The terms of invoices and their items, given at the start or later."""

import time
from typing import Any

DAY = 86400


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def test_a_draft_says_what_it_is_told(api: Any, bob: Any, monthly: Any) -> None:
    running = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    for more in ({}, {"subscription": running.id}):
        api.invoice_items.create({"customer": bob.id, "amount": 300, "currency": "usd", **more})
    card = api.payment_methods.attach("pm_card_amex", {"customer": bob.id})
    words = {"description": "extras", "metadata": {"a": "1"}, "default_payment_method": card.id}
    terms = {"currency": "usd", "subscription": running.id, "pending_invoice_items_behavior": "include"}
    made = api.invoices.create({"customer": bob.id, **terms, **words})
    assert (made.total, made.description, made.metadata.a) == (600, "extras", "1")
    paid = api.invoices.pay(made.id, {"off_session": True, "expand": ["payments.data.payment.payment_intent"]})
    assert paid.payments.data[0].payment.payment_intent.payment_method == card.id
    found = api.invoice_payments.list({"invoice": made.id, "status": "paid"})
    assert len(found.data) == 1


def test_a_draft_can_be_changed(api: Any, bob: Any) -> None:
    due = int(time.time()) + 5 * DAY
    made = api.invoices.create({"customer": bob.id, "collection_method": "send_invoice", "due_date": due})
    assert made.due_date == due
    api.invoice_items.create({"customer": bob.id, "invoice": made.id, "amount": 300, "currency": "usd"})
    card = api.payment_methods.attach("pm_card_amex", {"customer": bob.id})
    words = {"description": "new", "metadata": {"b": "2"}, "default_payment_method": card.id}
    later = api.invoices.update(made.id, {**words, "due_date": due + DAY})
    assert (later.description, later.metadata.b, later.due_date) == ("new", "2", due + DAY)
    api.invoices.update(made.id, {"collection_method": "charge_automatically", "auto_advance": True})
    paid = api.invoices.finalize_invoice(made.id, {"auto_advance": False})
    assert (paid.status, paid.auto_advance) == ("open", False)


def test_an_invoice_may_be_paid_elsewhere(api: Any, alice: Any) -> None:
    made = api.invoices.create({"customer": alice.id})
    api.invoice_items.create({"customer": alice.id, "invoice": made.id, "amount": 300, "currency": "usd"})
    paid = api.invoices.pay(made.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 0, 0)


def test_an_item_says_what_for_and_is_spared_by_discounts(api: Any, alice: Any, product: Any) -> None:
    data = {"currency": "usd", "product": product.id, "unit_amount": 400}
    span = {"start": 1_800_000_000, "end": 1_800_086_400}
    words = {"description": "a day", "metadata": {"a": "1"}, "period": span, "discountable": False}
    item = api.invoice_items.create({"customer": alice.id, "price_data": data, **words})
    assert ids(api.invoice_items.list({"customer": alice.id, "pending": True})) == [item.id]
    half = api.coupons.create({"percent_off": 50})
    terms = {"pending_invoice_items_behavior": "include", "discounts": [{"coupon": half.id}]}
    invoice = api.invoices.create({"customer": alice.id, **terms})
    line = invoice.lines.data[0]
    assert (invoice.total, line.description, line.metadata.a) == (400, "a day", "1")
    assert (line.period.start, line.period.end) == (span["start"], span["end"])
    assert ids(api.invoice_items.list({"invoice": invoice.id})) == [item.id]


def test_a_pending_item_can_be_changed(api: Any, alice: Any) -> None:
    item = api.invoice_items.create({"customer": alice.id, "amount": 100, "currency": "usd"})
    span = {"start": 1_800_000_000, "end": 1_800_086_400}
    words = {"description": "b", "metadata": {"a": "1"}, "period": span, "discountable": False, "amount": 900}
    api.invoice_items.update(item.id, words)
    half = api.coupons.create({"percent_off": 50})
    terms = {"pending_invoice_items_behavior": "include", "discounts": [{"coupon": half.id}]}
    invoice = api.invoices.create({"customer": alice.id, **terms})
    line = invoice.lines.data[0]
    assert (invoice.total, line.description, line.metadata.a, line.period.end) == (900, "b", "1", span["end"])


def test_a_preview_of_what_is_not_yet_subscribed(api: Any, alice: Any, monthly: Any) -> None:
    half = api.coupons.create({"percent_off": 50})
    asked = {"customer": alice.id, "subscription_details": {"items": [{"price": monthly.id, "quantity": 2}]}}
    assert api.invoices.create_preview(asked).total == 9998
    assert api.invoices.create_preview({**asked, "discounts": [{"coupon": half.id}]}).total == 4999
    asked["subscription_details"] |= {"trial_end": int(time.time()) + 5 * DAY}
    assert api.invoices.create_preview(asked).total == 0


def test_a_preview_of_fewer_items_and_of_an_end(api: Any, bob: Any, monthly: Any, product: Any) -> None:
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}
    seat = api.prices.create({"product": product.id, **terms})
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}, {"price": seat.id}]})
    without = [{"id": made["items"].data[1].id, "deleted": True}]
    details = {"items": without, "proration_behavior": "none"}
    found = api.invoices.create_preview({"subscription": made.id, "subscription_details": details})
    assert found.total == 4999
    later = made["items"].data[0].current_period_end + 5 * DAY
    asked = {"subscription": made.id, "subscription_details": {"cancel_at": later}}
    parts = {days: [(2 * unit * 5 + days) // (2 * days) for unit in (4999, 1000)] for days in range(28, 32)}
    assert api.invoices.create_preview(asked).total in {sum(lines) for lines in parts.values()}
    asked["subscription_details"] = {"cancel_at_period_end": False}
    assert api.invoices.create_preview(asked).total == 5999


def test_a_preview_of_what_recurs_leaves_out_the_rest(api: Any, bob: Any, monthly: Any) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    months = {"duration": "repeating", "duration_in_months": 3}
    fixed = api.coupons.create({"amount_off": 100, "currency": "usd", **months})
    discounts = [{"coupon": half.id}, {"coupon": fixed.id}]
    terms = {"customer": bob.id, "items": [{"price": monthly.id}], "discounts": discounts}
    running = api.subscriptions.create(terms)
    api.invoice_items.create({"customer": bob.id, "amount": 300, "currency": "usd"})
    api.customers.update(bob.id, {"balance": -200})
    price, named = monthly.unit_amount, {"subscription": running.id}
    assert api.invoices.create_preview(named).amount_due == (price + 300) // 2 - 100 - 200
    recurring = named | {"preview_mode": "recurring"}
    assert api.invoices.create_preview(recurring).total == price // 2 - 100
    kept = {"discounts": [{"discount": running.discounts[1]}]}
    assert api.invoices.create_preview(recurring | kept).total == price - 100
    assert api.customers.retrieve(bob.id).balance == -200


def test_a_preview_of_a_schedule_has_its_next_phase(api: Any, bob: Any, monthly: Any) -> None:
    running = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    made = api.subscription_schedules.create({"from_subscription": running.id})
    now = made.phases[0]
    dates = {"start_date": now.start_date, "end_date": now.end_date}
    later = {"items": [{"price": monthly.id, "quantity": 3}], "proration_behavior": "none"}
    phases = [{"items": [{"price": monthly.id}], **dates}, later]
    api.subscription_schedules.update(made.id, {"phases": phases})
    assert api.invoices.create_preview({"schedule": made.id}).amount_due == 3 * monthly.unit_amount
    assert api.subscription_schedules.list({"customer": bob.id, "scheduled": True}).data == []
