"""Faults that a database can still hold from before the rules that prevent them today."""

from collections.abc import Iterator

from sqlalchemy import exists, func, select

from portal.credits import expiries, topup_rules
from portal.extensions import db
from portal.models import (
    CreditEntry,
    CreditGrant,
    Customer,
    Invoice,
    Payment,
    Purchase,
    RefundOrder,
    Reversal,
)
from portal.payments.sync import NEVER_ARRIVED
from portal.reconcile.difference import Difference
from portal.usage import bills


def differences(mode: str) -> Iterator[Difference]:
    """Everything of a mode, inside the transaction of the books."""
    yield from open_grants(mode)
    yield from paid_and_expired(mode)
    yield from withdrawn(mode)
    yield from unknown_payments(mode)
    yield from refunds_that_failed(mode)
    for bill in db.session.execute(bills.owing_credits().filter_by(mode=mode)).scalars():
        about = bill.invoice_id or f"bill {bill.id}"
        yield Difference(mode, "bill", about, f"void: {bill.credits} credits given back", "0 credits")
    for customer_id in db.session.execute(topup_rules.clawed_back(mode)).scalars():
        yield Difference(mode, "top-up", f"customer {customer_id}", "paused: credits were taken back", "on")


def open_grants(mode: str) -> Iterator[Difference]:
    """What may still expire is never more than the balance: the rest was paid for."""
    total = func.sum(CreditGrant.remaining)
    query = (
        select(Customer.id, Customer.credit_balance, total)
        .join(CreditGrant, CreditGrant.customer_id == Customer.id)
        .where(Customer.mode == mode, CreditGrant.remaining > 0)
        .group_by(Customer.id, Customer.credit_balance)
        .having((total > Customer.credit_balance) | (Customer.credit_balance < 0))
    )
    for customer_id, balance, remaining in db.session.execute(query.order_by(Customer.id)):
        expected = f"at most {max(balance, 0)} credits expire"
        yield Difference(mode, "grants", f"customer {customer_id}", expected, f"{remaining} credits")


def paid_and_expired(mode: str) -> Iterator[Difference]:
    """Expiries that took credits which were paid for."""
    expired = exists().where(CreditEntry.customer_id == Customer.id, CreditEntry.reason == "expiry")
    for customer_id in db.session.execute(select(Customer.id).where(Customer.mode == mode, expired)).scalars():
        for entry, credits in expiries.wrong(customer_id):
            expected = f"{-entry.amount - credits} credits expired"
            yield Difference(mode, "expiry", f"customer {customer_id}", expected, f"{-entry.amount} credits")


def withdrawn(mode: str) -> Iterator[Difference]:
    """The sum that a payment says is withdrawn is that of its refunds and disputes."""
    total = func.coalesce(func.sum(Reversal.withdrawn), 0)
    query = (
        select(Payment.stripe_id, Payment.amount, Payment.amount_withdrawn, total)
        .outerjoin(Reversal, Reversal.payment_id == Payment.id)
        .where(Payment.mode == mode)
        .group_by(Payment.id, Payment.stripe_id, Payment.amount, Payment.amount_withdrawn)
        .having(
            (total != Payment.amount_withdrawn) & ((total < Payment.amount) | (Payment.amount_withdrawn < total))
        )
    )
    for stripe_id, amount, stored, added_up in db.session.execute(query.order_by(Payment.id)):
        yield Difference(mode, "payment", stripe_id, f"{min(added_up, amount)} withdrawn", f"{stored} withdrawn")


def unknown_payments(mode: str) -> Iterator[Difference]:
    """Each paid order and invoice has its payment, or else no refund of it is noticed."""
    of_order = exists().where(Payment.purchase_id == Purchase.id)
    orders = select(Purchase).where(
        Purchase.mode == mode, Purchase.state == "paid", Purchase.amount > 0, ~of_order
    )
    orders = orders.where(Purchase.payment_intent.is_not(None), Purchase.subscription_id.is_(None))
    for order in db.session.execute(orders.order_by(Purchase.id)).scalars():
        yield Difference(mode, "payment", order.number, f"its payment {order.payment_intent}", "none")
    of_invoice = exists().where(Payment.mode == Invoice.mode, Payment.invoice_id == Invoice.stripe_id)
    invoices = select(Invoice).where(Invoice.mode == mode, Invoice.amount_paid > 0, ~of_invoice)
    for invoice in db.session.execute(invoices.order_by(Invoice.id)).scalars():
        yield Difference(mode, "payment", invoice.stripe_id, f"a payment of {invoice.amount_paid}", "none")


def refunds_that_failed(mode: str) -> Iterator[Difference]:
    """A refund that failed at the bank counts as given no more."""
    query = select(RefundOrder, Reversal.status).join(
        Reversal, (Reversal.mode == RefundOrder.mode) & (Reversal.stripe_id == RefundOrder.stripe_id)
    )
    failed = query.where(RefundOrder.mode == mode, RefundOrder.state == "done", Reversal.status.in_(NEVER_ARRIVED))
    for order, status in db.session.execute(failed):
        yield Difference(mode, "refund", str(order.stripe_id), status, "done")
