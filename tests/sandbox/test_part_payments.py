"""Several payments of one invoice, fees, and refunds that are canceled."""

from typing import Any

import pytest
import stripe

from tests.sandbox.test_credit_notes import ids, invoice_of


def intent_of(api: Any, customer: Any, amount: int, **more: Any) -> Any:
    terms = {"customer": customer.id, "amount": amount, "currency": "usd", "payment_method": "pm_card_visa"}
    return api.payment_intents.create({**terms, **more})


def test_an_invoice_is_paid_in_parts(api: Any, bob: Any, hook: Any, sandbox: Any) -> None:
    """https://docs.stripe.com/invoicing/partial-payments

    The default payment is kept "synchronized with the invoice's amount_remaining" (api/invoice_payment/object).
    """
    invoice = invoice_of(api, bob, 1000)
    first = intent_of(api, bob, 300, confirm=True)
    after = api.invoices.attach_payment(invoice.id, {"payment_intent": first.id, "expand": ["payments"]})
    assert (after.status, after.amount_paid, after.amount_remaining) == ("open", 300, 700)
    parts = {tie.is_default: tie for tie in after.payments.data}
    assert (parts[False].status, parts[False].amount_paid, parts[False].payment.payment_intent) == (
        "paid",
        300,
        first.id,
    )
    assert (parts[True].status, parts[True].amount_requested) == ("open", 700)
    # One that is not paid yet counts once it is.
    second = intent_of(api, bob, 200)
    assert api.invoices.attach_payment(invoice.id, {"payment_intent": second.id}).amount_remaining == 700
    api.payment_intents.confirm(second.id)
    assert api.invoices.retrieve(invoice.id).amount_remaining == 500
    paid = api.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1000, 0)
    received = [
        tie.amount_paid for tie in api.invoice_payments.list({"invoice": invoice.id, "status": "paid"}).data
    ]
    assert sorted(received) == [200, 300, 500]
    found = {"type": "payment_intent", "payment_intent": second.id}
    assert [tie.amount_paid for tie in api.invoice_payments.list({"payment": found}).data] == [200]
    sandbox.config("deliveries/flush")
    assert (
        len([one for one in hook.named("invoice_payment.paid") if one["data"]["object"]["invoice"] == invoice.id])
        == 3
    )


def test_the_last_part_pays_the_invoice(api: Any, bob: Any) -> None:
    invoice = invoice_of(api, bob, 1000)
    whole = intent_of(api, bob, 1000, confirm=True)
    paid = api.invoices.attach_payment(invoice.id, {"payment_intent": whole.id, "expand": ["payments"]})
    assert (paid.status, paid.amount_paid) == ("paid", 1000)
    default = next(tie for tie in paid.payments.data if tie.is_default)
    assert default.status == "canceled"
    assert api.payment_intents.retrieve(default.payment.payment_intent).status == "canceled"


def test_only_what_fits_is_attached(api: Any, bob: Any, alice: Any) -> None:
    invoice = invoice_of(api, bob, 1000)
    spent = intent_of(api, bob, 100, confirm=True)
    api.invoices.attach_payment(invoice.id, {"payment_intent": spent.id})
    for wrong, words in (
        (intent_of(api, bob, 901), "what remains"),
        (intent_of(api, alice, 100), "same customer"),
        (intent_of(api, bob, 100, currency="eur"), "same currency"),
        (spent, "cannot be attached"),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            api.invoices.attach_payment(invoice.id, {"payment_intent": wrong.id})
    api.invoices.void_invoice(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="open invoices"):
        api.invoices.attach_payment(invoice.id, {"payment_intent": intent_of(api, bob, 100).id})


def test_an_old_charge_has_no_payment_intent(api: Any, bob: Any, sandbox: Any) -> None:
    """https://docs.stripe.com/api/invoice-payment/object: `payment.type` is `charge` for such a payment."""
    invoice = invoice_of(api, bob, 1000)
    api.invoices.pay(invoice.id)
    [tie] = api.invoice_payments.list({"invoice": invoice.id}).data
    sandbox.config(f"legacy_charges/{tie.payment.payment_intent}")
    [tie] = api.invoice_payments.list({"invoice": invoice.id}).data
    charge = api.charges.retrieve(str(tie.payment.charge))
    assert (tie.payment.type, charge.payment_intent, charge.amount) == ("charge", None, 1000)
    refund = api.refunds.create({"charge": charge.id, "amount": 400})
    assert (refund.payment_intent, ids(api.refunds.list({"charge": charge.id}))) == (None, [refund.id])


def test_a_charge_costs_a_fee(api: Any, bob: Any) -> None:
    """https://docs.stripe.com/api/balance_transactions/object: $4.00 brings $3.58, the fee being $0.42"""
    paid = intent_of(api, bob, 400, confirm=True, expand=["latest_charge.balance_transaction"])
    booked = paid.latest_charge.balance_transaction
    assert (booked.amount, booked.fee, booked.net) == (400, 42, 358)
    assert (booked.fee_details[0].amount, booked.fee_details[0].type) == (42, "stripe_fee")
    refund = api.refunds.create({"payment_intent": paid.id, "expand": ["balance_transaction"]})
    assert (refund.balance_transaction.fee, refund.balance_transaction.net) == (0, -400)


def test_a_dispute_costs_a_fee(api: Any, bob: Any) -> None:
    """https://stripe.com/pricing: "$15.00 for disputed payments" """
    paid = intent_of(api, bob, 400, payment_method="pm_card_createDispute", confirm=True)
    dispute = api.disputes.list({"payment_intent": paid.id}).data[0]
    taken = dispute.balance_transactions[0]
    assert (taken.amount, taken.fee, taken.net) == (-400, 1500, -1900)
    won = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
    back = api.disputes.update(dispute.id, won).balance_transactions[1]
    assert (back.amount, back.fee, back.net) == (400, 0, 400)


def test_a_refund_under_way_can_be_canceled(api: Any, bob: Any, hook: Any, sandbox: Any) -> None:
    """https://docs.stripe.com/refunds#cancel-refund"""
    sandbox.config("settlements", hold=True)
    paid = intent_of(api, bob, 1000, payment_method="pm_card_pendingRefund", confirm=True)
    refund = api.refunds.create({"payment_intent": paid.id, "amount": 400})
    assert api.charges.retrieve(paid.latest_charge).amount_refunded == 400
    canceled = api.refunds.cancel(refund.id)
    assert (canceled.status, api.charges.retrieve(paid.latest_charge).amount_refunded) == ("canceled", 0)
    back = api.balance_transactions.retrieve(canceled.failure_balance_transaction)
    assert (back.amount, back.type) == (400, "refund_failure")
    sandbox.config("settlements/flush")
    assert api.refunds.retrieve(refund.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        api.refunds.cancel(refund.id)
    sandbox.config("deliveries/flush")
    told = [
        one["data"]["object"]["status"]
        for one in hook.named("refund.updated")
        if one["data"]["object"]["id"] == refund.id
    ]
    assert told == ["canceled"]
    assert ids(api.refunds.list({"payment_intent": paid.id})) == [refund.id]


def test_a_total_under_the_minimum_goes_to_the_next_invoice(api: Any, bob: Any) -> None:
    """ "If the invoice's total is smaller than the minimum charge amount [...] the amount_due may be 0"
    (https://docs.stripe.com/api/invoices/object#invoice_object-amount_due); in dollars that is $0.50.
    """
    small = invoice_of(api, bob, 49)
    assert (small.status, small.total, small.amount_due, small.ending_balance) == ("paid", 49, 0, 49)
    assert api.customers.retrieve(bob.id).balance == 49
    later = invoice_of(api, bob, 51)
    assert (later.status, later.starting_balance, later.amount_due, later.ending_balance) == ("open", 49, 100, 0)
    assert api.invoices.pay(later.id).amount_paid == 100
    assert api.customers.retrieve(bob.id).balance == 0
