"""What a purchase of credits gives: the ledger's entry, once, and a record of the payment."""

from dataclasses import dataclass

import structlog
from sqlalchemy import or_, select

from portal import clock, gateway, mail
from portal.credits import ledger
from portal.customers import locks
from portal.extensions import db, insert
from portal.models import CreditEntry, Payment, Purchase

log = structlog.get_logger()


@dataclass(frozen=True)
class Bought:
    """The payment behind a completed session; None where there was nothing to pay."""

    intent: gateway.PaymentIntent | None


def read_bought(mode: str, session: gateway.Session) -> Bought:
    """Fetch the payment of a completed session."""
    intent_id = session.payment_intent
    return Bought(gateway.of(mode).payment_intent(intent_id) if intent_id else None)


def give(purchase: Purchase, bought: Bought) -> None:
    """Post the credits of a paid purchase, once however often it is called, and keep its payment. Flushes.

    The entry is keyed by the Checkout Session, a top-up's by its payment: a payment intent can be null.
    """
    assert purchase.credits is not None
    reference = purchase.session_id or purchase.payment_intent
    assert reference is not None
    locks.lock(purchase.customer_id)
    if bought.intent is not None:
        record(purchase, bought.intent)
    if _stands(purchase.customer_id, reference):
        return
    entry = ledger.post(
        purchase.customer_id,
        purchase.credits,
        "purchase",
        reference,
        description=purchase.name,
        purchase_id=purchase.id,
    )
    _tell(purchase, entry)


def record(purchase: Purchase, intent: gateway.PaymentIntent) -> None:
    """Keep what the payment is at Stripe, also where it failed; what was refunded of it is `reversals`' to write.

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
        purchase_id=purchase.id,
        payment_intent=intent.id,
        amount=intent.amount,
        currency=intent.currency,
        credits=purchase.credits,
        amount_refunded=0,
        created_at=charge.created if charge else intent.created,
        **facts,
    )
    moves = or_(Payment.status != "succeeded", statement.excluded.status == "succeeded")
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["mode", "payment_intent"], set_=facts, where=moves)
    )


def _stands(customer_id: int, reference: str) -> bool:
    query = select(CreditEntry.id).filter_by(customer_id=customer_id, reason="purchase", reference=reference)
    return db.session.execute(query).scalar_one_or_none() is not None


def _tell(purchase: Purchase, entry: CreditEntry) -> None:
    log.info(
        "successfully_added_credits",
        credits=entry.amount,
        user=purchase.customer.user_id,
        payment=purchase.payment_intent,
        balance=entry.balance_after,
        order=purchase.number,
        mode=purchase.mode,
    )
    mail.tell(
        purchase.customer,
        "credits_added",
        f"credits-added:{purchase.number}",
        credits=entry.amount,
        balance=entry.balance_after,
        amount=purchase.amount,
        currency=purchase.currency,
        order=purchase.number,
        auto=purchase.auto,
        page=mail.external("credits.index"),
    )
