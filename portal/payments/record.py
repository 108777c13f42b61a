"""Writing payments of orders and of invoices."""

from typing import Any

from sqlalchemy import func, or_

from portal import clock, gateway
from portal.enums import Mode
from portal.extensions import db, insert
from portal.models import Order, Payment, PaymentKind, PaymentStatus

KEY = ["mode", "stripe_id"]


def of_order(order: Order, intent: gateway.PaymentIntent) -> None:
    """Write an order's payment as Stripe has it, including a failed one. Only `sync` writes refunds.

    A payment that succeeded stays so, even if an older fetch is written later. Flushes.
    """
    if intent.outcome is None:
        return
    charge = intent.charge
    facts = {
        "charge_id": charge.id if charge else None,
        "receipt_url": charge.receipt_url if charge and intent.outcome == PaymentStatus.SUCCEEDED else None,
        "status": intent.outcome,
        "synced_at": clock.now(),
    }
    statement = insert(Payment).values(
        customer_id=order.customer_id,
        mode=order.mode,
        kind=PaymentKind(order.kind),
        stripe_id=intent.id,
        order_id=order.id,
        amount=intent.amount,
        currency=intent.currency,
        created_at=charge.created if charge else intent.created,
        **facts,
    )
    moves = or_(Payment.status != PaymentStatus.SUCCEEDED, statement.excluded.status == PaymentStatus.SUCCEEDED)
    db.session.execute(statement.on_conflict_do_update(index_elements=KEY, set_=facts, where=moves))


def of_invoice(mode: Mode, customer_id: int, kind: PaymentKind, facts: gateway.Invoice) -> None:
    """Write each payment that paid an invoice or a part of it. Flushes.

    Writes nothing if its payments were not expanded, or for amounts paid from a balance or outside of Stripe.
    """
    for one in facts.payments:
        if one.is_paid and one.amount:
            _write(mode, customer_id, kind, facts, one)


def _write(
    mode: Mode, customer_id: int, kind: PaymentKind, facts: gateway.Invoice, one: gateway.InvoicePayment
) -> None:
    values: dict[str, Any] = {
        "customer_id": customer_id,
        "mode": mode,
        "kind": kind,
        "stripe_id": one.payment_intent or one.charge or one.id,
        "charge_id": one.charge,
        "invoice_id": facts.id,
        "amount": one.amount,
        "currency": facts.currency,
        "status": PaymentStatus.SUCCEEDED,
        "created_at": one.paid_at or facts.created,
        "synced_at": clock.now(),
    }
    statement = insert(Payment).values(values)
    known = {"invoice_id": facts.id, "status": PaymentStatus.SUCCEEDED, "synced_at": values["synced_at"]}
    known["charge_id"] = func.coalesce(statement.excluded.charge_id, Payment.charge_id)
    db.session.execute(statement.on_conflict_do_update(index_elements=KEY, set_=known))
