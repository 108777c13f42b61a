"""Emails about withdrawn payments: to the customer, and about disputes and repeated refunds to admins."""

from typing import Any

import structlog
from sqlalchemy import select

from portal import audit, gateway, mail
from portal.extensions import db, once_committed
from portal.models import Customer, Invoice, Order, Payment, ReversalKind
from portal.payments.reversal_effects import Turn

log = structlog.get_logger()

# The consequences that the mails can name. The function of the payment's kind returns those that apply.
FOLLOWED: dict[str, Any] = {
    "credits": None,
    "balance": None,
    "top_up_paused": False,
    "access": None,  # to a plan that is paid once: "kept" or "ended"
    "suspended": False,
}


def tell(payment: Payment, turn: Turn, facts: dict[str, Any]) -> None:
    """Mail the customer if money moved, and the admins about each step of a withdrawing dispute. Flushes."""
    row, followed = turn.row, FOLLOWED | facts
    once_committed(
        log.info,
        "payment_reversed",
        kind=row.kind,
        status=row.status,
        reversal=row.stripe_id,
        payment=payment.stripe_id,
    )
    customer = db.session.get_one(Customer, payment.customer_id)
    common = {
        "what": str(row.kind),
        "bought": str(payment.kind),
        "name": bought(payment),
        "amount": row.amount,
        "currency": payment.currency,
        "whole": payment.is_withdrawn,
    }
    key = f"{row.stripe_id}:{row.status}"
    if turn.difference:
        page = mail.external("credits.index" if payment.kind == "credits" else "history.index")
        back = turn.difference < 0
        mail.tell(customer, "payment_reversed", f"reversed:{key}", back=back, page=page, **common, **followed)
    if row.kind == ReversalKind.DISPUTE:
        about = {"status": row.status, "email": customer.user.email, "suspended": followed["suspended"]}
        page = mail.external("admin_customers.show", user_id=customer.user_id)
        mail.tell_admins("dispute", f"dispute:{key}", customer.mode, page=page, **about, **common)


def tell_made_again(payment: Payment, facts: gateway.Reversal) -> None:
    """Tell the admins, once, of a refund that Stripe made a second time for one request of ours. Flushes."""
    customer = db.session.get_one(Customer, payment.customer_id)
    amount = {"amount": facts.amount, "currency": payment.currency}
    log.error("refund_made_twice", refund=facts.id, payment=payment.stripe_id, **amount)
    audit.record(
        "refund.made_twice", customer_id=customer.id, subject=facts.id, after=amount, key=f"{facts.id}:made_twice"
    )
    mail.tell_admins(
        "refund_twice",
        f"refund_twice:{facts.id}",
        customer.mode,
        page=mail.external("admin_customers.show", user_id=customer.user_id),
        email=customer.user.email,
        name=bought(payment),
        refund=facts.id,
        **amount,
    )


def bought(payment: Payment) -> str:
    """Return what a payment paid for: the order's name, or the invoice's number."""
    if payment.order_id:
        query = select(Order.name).filter_by(id=payment.order_id)
        return db.session.execute(query).scalar_one()
    number = select(Invoice.number).filter_by(mode=payment.mode, stripe_id=payment.invoice_id)
    return f"invoice {db.session.execute(number).scalar_one_or_none() or payment.invoice_id}"
