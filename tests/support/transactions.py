"""Rows of the history's four tables, written by hand."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from portal.extensions import db
from portal.models import CreditEntry, Invoice, Order, Payment, Reversal

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def entry(customer_id: int, number: int, **changes: object) -> dict[str, object]:
    """Return the row of a spend of one credit, `number` minutes after noon."""
    return {
        "customer_id": customer_id,
        "amount": -1,
        "balance_after": 1000 - number,
        "reason": "spend",
        "reference": f"call-{number}",
        "description": "A call",
        "created_at": NOON + timedelta(minutes=number),
    } | changes


def invoice(customer_id: int, number: int, **changes: object) -> dict[str, object]:
    """A paid invoice of the same minute."""
    return {
        "customer_id": customer_id,
        "mode": "live",
        "stripe_id": f"in_{customer_id}_{number}",
        "number": f"INV-{number:04}",
        "status": "paid",
        "total": 4999,
        "amount_paid": 4999,
        "amount_due": 0,
        "currency": "usd",
        "hosted_url": f"https://invoice.example/{number}",
        "created_at": NOON + timedelta(minutes=number),
        "synced_at": NOON,
    } | changes


def bought(customer_id: int, name: str = "Basic") -> tuple[int, int]:
    """Write a paid order of 5,500 credits and its payment, and return both ids."""
    order = Order(
        number=f"PO-{customer_id}-{name}"[:20],
        customer_id=customer_id,
        mode="live",
        kind="credits",
        item=name.lower(),
        name=name,
        amount=4500,
        currency="usd",
        credits=5500,
        params={},
        session_id=f"cs_{customer_id}_{name}",
        payment_intent=f"pi_{customer_id}_{name}",
        state="paid",
        paid_at=NOON,
        created_at=NOON,
    )
    db.session.add(order)
    db.session.flush()
    payment = Payment(
        customer_id=customer_id,
        mode="live",
        order_id=order.id,
        kind="credits",
        stripe_id=order.payment_intent,
        charge_id=f"ch_{customer_id}_{name}",
        amount=4500,
        currency="usd",
        amount_refunded=0,
        receipt_url="https://receipt.example/1",
        status="succeeded",
        created_at=NOON,
        synced_at=NOON,
    )
    db.session.add(payment)
    db.session.flush()
    return order.id, payment.id


def told_of(customer_id: int, order_id: int, name: str = "Basic") -> dict[str, object]:
    """Return the row of the ledger entry that an order posts."""
    return entry(
        customer_id,
        0,
        amount=5500,
        balance_after=5500,
        reason="purchase",
        reference=f"cs_{customer_id}_{name}",
        description=name,
        order_id=order_id,
    )


def refunded(customer_id: int, payment_id: int, **changes: object) -> None:
    values = {
        "customer_id": customer_id,
        "mode": "live",
        "stripe_id": "re_1",
        "kind": "refund",
        "payment_id": payment_id,
        "amount": 900,
        "withdrawn": 900,
        "status": "succeeded",
        "created_at": NOON + timedelta(hours=1),
        "synced_at": NOON,
    }
    db.session.execute(insert(Reversal).values(**values | changes))


def add(*rows: dict[str, object]) -> None:
    for row in rows:
        db.session.execute(insert(Invoice if "stripe_id" in row else CreditEntry).values(**row))
    db.session.commit()
