"""Writing payments: those of orders and those of invoices."""

from typing import Any

from sqlalchemy import func, or_

from portal import clock, gateway
from portal.extensions import db, insert
from portal.models import Payment, PaymentKind, Purchase

KEY = ["mode", "stripe_id"]


def of_order(purchase: Purchase, intent: gateway.PaymentIntent) -> None:
    """Write what an order's payment is at Stripe, also where it failed; what was refunded is `sync`'s to write.

    One that succeeded stays so, whoever fetched it earlier and comes later. Flushes.
    """
    if intent.outcome is None:
        return
    charge = intent.charge
    facts = {
        "charge_id": charge.id if charge else None,
        "receipt_url": charge.receipt_url if charge and intent.outcome == "succeeded" else None,
        "status": intent.outcome,
        "synced_at": clock.now(),
    }
    statement = insert(Payment).values(
        customer_id=purchase.customer_id,
        mode=purchase.mode,
        kind=PaymentKind(purchase.kind),
        stripe_id=intent.id,
        purchase_id=purchase.id,
        amount=intent.amount,
        currency=intent.currency,
        created_at=charge.created if charge else intent.created,
        **facts,
    )
    moves = or_(Payment.status != "succeeded", statement.excluded.status == "succeeded")
    db.session.execute(statement.on_conflict_do_update(index_elements=KEY, set_=facts, where=moves))


def of_invoice(mode: str, customer_id: int, kind: PaymentKind, facts: gateway.Invoice) -> None:
    """Write each payment that has paid an invoice, or a part of it. Flushes.

    Nothing where its payments were not expanded, and for what was paid from a balance or outside of Stripe.
    """
    for one in facts.payments:
        if one.is_paid and one.amount:
            _write(mode, customer_id, kind, facts, one)


def _write(
    mode: str, customer_id: int, kind: PaymentKind, facts: gateway.Invoice, one: gateway.InvoicePayment
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
        "status": "succeeded",
        "created_at": one.paid_at or facts.created,
        "synced_at": clock.now(),
    }
    statement = insert(Payment).values(values)
    known = {"invoice_id": facts.id, "status": "succeeded", "synced_at": values["synced_at"]}
    known["charge_id"] = func.coalesce(statement.excluded.charge_id, Payment.charge_id)
    db.session.execute(statement.on_conflict_do_update(index_elements=KEY, set_=known))
