"""What an order of credits grants: one ledger entry, and a record of the payment."""

from dataclasses import dataclass

import structlog
from sqlalchemy import select

from portal import gateway, mail
from portal.credits import ledger
from portal.customers import owners
from portal.enums import Mode
from portal.extensions import db, once_committed
from portal.models import CreditEntry, Order
from portal.payments import record
from portal.sync import locks

log = structlog.get_logger()


@dataclass(frozen=True)
class Bought:
    """The payment of a completed session; None if there was nothing to pay."""

    intent: gateway.PaymentIntent | None


def read_bought(mode: Mode, session: gateway.Session) -> Bought:
    """Fetch the payment of a completed session."""
    intent_id = session.payment_intent
    return Bought(gateway.of(mode).payment_intent(intent_id) if intent_id else None)


def give(order: Order, bought: Bought) -> None:
    """Post the credits of a paid order, once however often it is called, and store its payment. Flushes.

    The entry is keyed by the Checkout Session, for a top-up by its payment, because a payment intent can be null.
    """
    assert order.credits is not None
    reference = order.session_id or order.payment_intent
    assert reference is not None
    locks.lock(order.customer_id)
    if bought.intent is not None:
        record.of_order(order, bought.intent)
    if _stands(order.customer_id, reference):
        return
    entry = ledger.post(
        order.customer_id,
        order.credits,
        "purchase",
        reference,
        description=order.name,
        order_id=order.id,
    )
    _tell(order, entry)


def _stands(customer_id: int, reference: str) -> bool:
    mine = CreditEntry.customer_id.in_(owners.ledgers(customer_id))
    query = select(CreditEntry.id).where(
        mine, CreditEntry.reason == "purchase", CreditEntry.reference == reference
    )
    return db.session.execute(query.limit(1)).scalar_one_or_none() is not None


def _tell(order: Order, entry: CreditEntry) -> None:
    once_committed(
        log.info,
        "successfully_added_credits",
        credits=entry.amount,
        user=order.customer.user_id,
        payment=order.payment_intent,
        balance=entry.balance_after,
        order=order.number,
        mode=order.mode,
    )
    mail.tell(
        order.customer,
        "credits_added",
        f"credits-added:{order.number}",
        credits=entry.amount,
        balance=entry.balance_after,
        amount=order.amount,
        currency=order.currency,
        order=order.number,
        auto=order.auto,
        page=mail.external("credits.index"),
    )
