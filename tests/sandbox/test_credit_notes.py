"""Credit notes and the customer's balance."""

from typing import Any

import pytest
import stripe


def invoice_of(api: Any, customer: Any, amount: int) -> Any:
    """An open invoice over an amount."""
    draft = api.invoices.create({"customer": customer.id})
    api.invoice_items.create({"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": "usd"})
    return api.invoices.finalize_invoice(draft.id)


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def test_a_credit_note_lowers_what_an_open_invoice_asks_for(api: Any, bob: Any, hook: Any, sandbox: Any) -> None:
    """https://docs.stripe.com/invoicing/integration/programmatic-credit-notes"""
    invoice = invoice_of(api, bob, 1000)
    words = {"reason": "order_change", "memo": "too much", "metadata": {"a": "1"}}
    note = api.credit_notes.create({"invoice": invoice.id, "amount": 300, **words})
    assert (note.type, note.pre_payment_amount, note.number) == ("pre_payment", 300, f"{invoice.number}-CN-01")
    assert (note.reason, note.memo, note.metadata.a) == ("order_change", "too much", "1")
    assert api.invoices.retrieve(invoice.id).amount_remaining == 700
    api.credit_notes.void_credit_note(note.id)
    assert api.invoices.retrieve(invoice.id).amount_remaining == 1000
    api.credit_notes.create({"invoice": invoice.id, "amount": 400})
    paid = api.invoices.pay(invoice.id, {"expand": ["payments"]})
    intent = api.payment_intents.retrieve(paid.payments.data[0].payment.payment_intent)
    assert (paid.amount_paid, intent.amount_received, paid.pre_payment_credit_notes_amount) == (600, 600, 400)
    assert api.credit_notes.update(note.id, {"memo": "new", "metadata": {"b": "2"}}).memo == "new"
    assert len(api.credit_notes.list({"invoice": invoice.id}).data) == 2
    assert len(api.credit_notes.list({"customer": bob.id}).data) == 2
    sandbox.config("deliveries/flush")
    assert note.id in hook.objects("credit_note.created")
    assert note.id in hook.objects("credit_note.voided")
    assert note.id in hook.objects("credit_note.updated")


def test_an_open_invoice_that_is_all_credited_is_paid(api: Any, bob: Any) -> None:
    invoice = invoice_of(api, bob, 1000)
    api.credit_notes.create({"invoice": invoice.id, "amount": 1000})
    found = api.invoices.retrieve(invoice.id)
    assert (found.status, found.amount_paid, found.amount_due) == ("paid", 0, 0)


def test_what_was_paid_is_refunded_credited_or_given_elsewhere(api: Any, bob: Any) -> None:
    paid = api.invoices.pay(invoice_of(api, bob, 1000).id)
    ways = {"refund_amount": 500, "credit_amount": 200, "out_of_band_amount": 100}
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        api.credit_notes.create({"invoice": paid.id, "amount": 900, **ways})
    note = api.credit_notes.create({"invoice": paid.id, "amount": 800, **ways})
    assert (note.type, note.post_payment_amount, note.out_of_band_amount) == ("post_payment", 800, 100)
    assert api.refunds.retrieve(note.refunds[0].refund).amount == 500
    assert api.customers.retrieve(bob.id).balance == -200
    booked = api.customers.balance_transactions.retrieve(bob.id, note.customer_balance_transaction)
    assert (booked.type, booked.amount, booked.credit_note, booked.ending_balance) == (
        "credit_note",
        -200,
        note.id,
        -200,
    )
    with pytest.raises(stripe.InvalidRequestError, match="what is left"):
        api.credit_notes.create({"invoice": paid.id, "amount": 300, "credit_amount": 300})


def test_a_credit_note_names_the_lines_that_it_credits(api: Any, bob: Any, once: Any) -> None:
    draft = api.invoices.create({"customer": bob.id})
    item = {"customer": bob.id, "invoice": draft.id, "pricing": {"price": once.id}, "quantity": 4}
    api.invoice_items.create(item)
    invoice = api.invoices.finalize_invoice(draft.id)
    credited = invoice.lines.data[0].id
    lines = [
        {"type": "invoice_line_item", "invoice_line_item": credited, "quantity": 1},
        {"type": "invoice_line_item", "invoice_line_item": credited, "amount": 100, "description": "a scratch"},
        {"type": "custom_line_item", "description": "late", "quantity": 2, "unit_amount": 50},
        {"type": "custom_line_item", "description": "later", "quantity": 3, "unit_amount_decimal": "0.5"},
    ]
    note = api.credit_notes.create({"invoice": invoice.id, "lines": lines})
    assert [(one.amount, one.description) for one in note.lines.data][1:] == [
        (100, "a scratch"),
        (100, "late"),
        (2, "later"),
    ]
    assert (note.lines.data[0].amount, note.amount) == (1500, 1702)
    assert len(api.credit_notes.line_items.list(note.id).data) == 4


def test_a_balance_is_applied_to_the_next_invoice(api: Any, bob: Any) -> None:
    """https://docs.stripe.com/billing/customer/balance: a credit is negative"""
    words = {"description": "sorry", "metadata": {"a": "1"}}
    made = api.customers.balance_transactions.create(bob.id, {"amount": -500, "currency": "usd", **words})
    assert (made.type, made.ending_balance, made.description) == ("adjustment", -500, "sorry")
    changes = {"description": "so sorry", "metadata": {"b": "2"}}
    changed = api.customers.balance_transactions.update(bob.id, made.id, changes)
    assert (changed.description, changed.metadata.to_dict()) == ("so sorry", {"a": "1", "b": "2"})
    invoice = invoice_of(api, bob, 800)
    assert (invoice.amount_due, invoice.starting_balance, invoice.ending_balance) == (300, -500, 0)
    applied = api.customers.balance_transactions.list(bob.id, {"invoice": invoice.id}).data
    assert [(one.type, one.amount, one.ending_balance) for one in applied] == [("applied_to_invoice", 500, 0)]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be 0"):
        api.customers.balance_transactions.create(bob.id, {"amount": 0, "currency": "usd"})


def test_a_credit_note_names_refunds_that_exist(api: Any, bob: Any) -> None:
    """https://docs.stripe.com/api/credit_notes/create: the ways together are the note's amount"""
    paid = api.invoices.pay(invoice_of(api, bob, 1000).id, {"expand": ["payments"]})
    refund = api.refunds.create({"payment_intent": paid.payments.data[0].payment.payment_intent, "amount": 600})
    part = {"refund": refund.id, "amount_refunded": 400}
    ways = {"refunds": [part], "refund_amount": 200, "credit_amount": 50, "out_of_band_amount": 50}
    note = api.credit_notes.create({"invoice": paid.id, "amount": 700, "effective_at": 1_769_990_400, **ways})
    assert [one.amount_refunded for one in note.refunds] == [400, 200]
    assert (note.refunds[0].refund, note.effective_at) == (refund.id, 1_769_990_400)
    with pytest.raises(stripe.InvalidRequestError, match="Only 200"):
        api.credit_notes.create({"invoice": paid.id, "amount": 300, "refunds": [part | {"amount_refunded": 300}]})
    other = api.invoices.pay(invoice_of(api, bob, 1000).id)
    with pytest.raises(stripe.InvalidRequestError, match="does not belong"):
        api.credit_notes.create({"invoice": other.id, "amount": 400, "refunds": [part]})
