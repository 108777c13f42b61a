"""What a purchase of credits gives: the ledger's entry, once, and a record of the payment."""

from dataclasses import dataclass

import structlog
from sqlalchemy import select

from portal import gateway, mail
from portal.credits import ledger
from portal.customers import locks, owners
from portal.extensions import db
from portal.models import CreditEntry, Purchase
from portal.payments import record

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
        record.of_order(purchase, bought.intent)
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


def _stands(customer_id: int, reference: str) -> bool:
    mine = CreditEntry.customer_id.in_(owners.ledgers(customer_id))
    query = select(CreditEntry.id).where(
        mine, CreditEntry.reason == "purchase", CreditEntry.reference == reference
    )
    return db.session.execute(query.limit(1)).scalar_one_or_none() is not None


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
