"""The mails about payments that are taken back: to the customer, and about disputes to admins too."""

from typing import Any

import structlog
from sqlalchemy import select

from portal import mail
from portal.extensions import db
from portal.models import Customer, Invoice, Payment, Purchase, ReversalKind
from portal.payments.takes import Turn

log = structlog.get_logger()

# What may follow, as the mails say it; the kind's own function gives those that did.
FOLLOWED: dict[str, Any] = {
    "credits": None,
    "balance": None,
    "top_up_paused": False,
    "access": None,  # to a plan that is paid once: "kept" or "ended"
    "suspended": False,
}


def tell(payment: Payment, turn: Turn, facts: dict[str, Any]) -> None:
    """Mail the customer where money moved, and the admins each step of a dispute that withdraws. Flushes."""
    row, followed = turn.row, FOLLOWED | facts
    log.info(
        "payment_reversed", kind=row.kind, status=row.status, reversal=row.stripe_id, payment=payment.stripe_id
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


def bought(payment: Payment) -> str:
    """What a payment paid for, in words: the order's name, or the invoice's number."""
    if payment.purchase_id:
        query = select(Purchase.name).filter_by(id=payment.purchase_id)
        return db.session.execute(query).scalar_one()
    number = select(Invoice.number).filter_by(mode=payment.mode, stripe_id=payment.invoice_id)
    return f"invoice {db.session.execute(number).scalar_one_or_none() or payment.invoice_id}"
