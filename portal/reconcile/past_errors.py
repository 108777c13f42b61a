"""Errors that a database may still contain from before the rules that now prevent them."""

from collections.abc import Iterator

from sqlalchemy import exists, func, select

from portal.credits import expiries
from portal.credits.top_ups import rules
from portal.enums import Mode
from portal.extensions import db
from portal.models import (
    AuditEntry,
    CreditEntry,
    CreditGrant,
    Customer,
    Invoice,
    Order,
    OrderState,
    Payment,
    RefundRequest,
    Reversal,
    ReversalState,
    User,
)
from portal.reconcile.difference import Difference
from portal.usage.monthly_run import bill_states


def differences(mode: Mode) -> Iterator[Difference]:
    """Yield all of them for a mode, inside the transaction of `books`."""
    yield from open_grants(mode)
    yield from paid_and_expired(mode)
    yield from withdrawn(mode)
    yield from unknown_payments(mode)
    yield from refunds_that_failed(mode)
    yield from joined_unproven(mode)
    for bill in db.session.execute(bill_states.owing_credits().filter_by(mode=mode)).scalars():
        about = bill.invoice_id or f"bill {bill.id}"
        yield Difference(mode, "bill", about, f"void: {bill.credits} credits given back", "0 credits")
    for customer_id in db.session.execute(rules.clawed_back(mode)).scalars():
        yield Difference(mode, "top-up", f"customer {customer_id}", "paused: credits were taken back", "on")


def open_grants(mode: Mode) -> Iterator[Difference]:
    """Check that no more can expire than the balance, because the rest was paid for."""
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


def paid_and_expired(mode: Mode) -> Iterator[Difference]:
    """Yield expiries that removed paid credits."""
    expired = exists().where(CreditEntry.customer_id == Customer.id, CreditEntry.reason == "expiry")
    for customer_id in db.session.execute(select(Customer.id).where(Customer.mode == mode, expired)).scalars():
        for entry, credits in expiries.wrong(customer_id):
            expected = f"{-entry.amount - credits} credits expired"
            yield Difference(mode, "expiry", f"customer {customer_id}", expected, f"{-entry.amount} credits")


def withdrawn(mode: Mode) -> Iterator[Difference]:
    """Check that a payment's withdrawn sum is that of its refunds and disputes."""
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


def unknown_payments(mode: Mode) -> Iterator[Difference]:
    """Check that each paid order and invoice has its payment, without which its refunds go unnoticed."""
    of_order = exists().where(Payment.order_id == Order.id)
    orders = select(Order).where(Order.mode == mode, Order.state == OrderState.PAID, Order.amount > 0, ~of_order)
    orders = orders.where(Order.payment_intent.is_not(None), Order.subscription_id.is_(None))
    for order in db.session.execute(orders.order_by(Order.id)).scalars():
        yield Difference(mode, "payment", order.number, f"its payment {order.payment_intent}", "none")
    of_invoice = exists().where(Payment.mode == Invoice.mode, Payment.invoice_id == Invoice.stripe_id)
    invoices = select(Invoice).where(Invoice.mode == mode, Invoice.amount_paid > 0, ~of_invoice)
    for invoice in db.session.execute(invoices.order_by(Invoice.id)).scalars():
        yield Difference(mode, "payment", invoice.stripe_id, f"a payment of {invoice.amount_paid}", "none")


def refunds_that_failed(mode: Mode) -> Iterator[Difference]:
    """Check that a refund that failed at the bank no longer counts as refunded."""
    query = select(RefundRequest, Reversal.status).join(
        Reversal, (Reversal.mode == RefundRequest.mode) & (Reversal.stripe_id == RefundRequest.stripe_id)
    )
    failed = query.where(
        RefundRequest.mode == mode, RefundRequest.state == "done", Reversal.status.in_(ReversalState.returned())
    )
    for order, status in db.session.execute(failed):
        yield Difference(mode, "refund", str(order.stripe_id), status, "done")


def joined_unproven(mode: Mode) -> Iterator[Difference]:
    """Yield orders of Payment Links, and imports, that joined an account with an unverified address.

    Today such an order waits until the address is verified. The account may not be the buyer's.
    """
    unproven = (User.password_hash.is_not(None), User.verified_at.is_(None), User.deleted_at.is_(None))
    orders = (
        select(Order.number, User.id)
        .join(Customer, Customer.id == Order.customer_id)
        .join(User, User.id == Customer.user_id)
        .where(Order.mode == mode, Order.payment_link.is_not(None), Order.paid_at.is_not(None), *unproven)
    )
    imports = (
        select(AuditEntry.subject, User.id)
        .join(Customer, Customer.id == AuditEntry.customer_id)
        .join(User, User.id == Customer.user_id)
        .where(AuditEntry.action == "customer.adopted", Customer.mode == mode, *unproven)
    )
    for query in (orders.order_by(Order.id), imports.order_by(AuditEntry.id)):
        for about, user_id in db.session.execute(query):
            expected = "its account has proven the address"
            yield Difference(mode, "unproven address", about, expected, f"user {user_id} never proved it")
