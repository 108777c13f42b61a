"""Refunds and disputes of credits: credits are taken back in proportion, and returned if the reversal fails.

The amount follows from all of a payment's reversals together, so partial ones are exact in any order: after each,
the ledger matches the total.
"""

from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import func, or_, select

from portal import money
from portal.credits import ledger
from portal.credits.top_ups import rules
from portal.customers import owners
from portal.extensions import db, once_committed
from portal.models import CreditEntry, Order, Payment
from portal.payments.reversal_effects import Turn

log = structlog.get_logger()

TAKING_BACK = ("refund", "dispute", "reinstatement")
WORDS = {
    ("refund", True): "Refunded payment",
    ("refund", False): "Refund that failed",
    ("dispute", True): "Disputed payment",
    ("dispute", False): "Dispute that was won",
}


def take(payment: Payment, turn: Turn) -> dict[str, Any]:
    """Post the difference between the credits taken back and the credits owed. Flushes.

    Taking credits back pauses the automatic top-up, which would buy again what was just refunded.
    """
    row = turn.row
    change = _taken(payment) - owed(payment, payment.amount_withdrawn)
    if change == 0:  # an earlier reversal has taken all of it, or still does
        return {}
    reason = row.kind if change < 0 else "reinstatement"
    entry = ledger.post(
        payment.customer_id,
        change,
        reason,
        _reference(payment, reason, row.stripe_id),
        description=WORDS[row.kind, change < 0],
        order_id=payment.order_id,
    )
    once_committed(
        log.info,
        "credits_reversed",
        reason=reason,
        credits=change,
        reversal=row.stripe_id,
        payment=payment.stripe_id,
    )
    facts: dict[str, Any] = {"credits": change, "balance": entry.balance_after}
    if change < 0 and rules.pause(payment.customer_id, "taken_back"):
        facts["top_up_paused"] = True
    return facts


def owed(payment: Payment, withdrawn: int) -> int:
    """Return the number of credits to take back when so many minor units of the payment are withdrawn in total."""
    given = db.session.execute(select(Order.credits).filter_by(id=payment.order_id)).scalar_one() or 0
    return money.round_half_up(Decimal(min(withdrawn, payment.amount) * given) / payment.amount)


def _taken(payment: Payment) -> int:
    """Return the number of the payment's credits that the ledger has taken back so far."""
    query = select(func.coalesce(func.sum(CreditEntry.amount), 0)).where(
        CreditEntry.customer_id.in_(owners.ledgers(payment.customer_id)),
        CreditEntry.order_id == payment.order_id,
        CreditEntry.reason.in_(TAKING_BACK),
    )
    return -int(db.session.execute(query).scalar_one())


def _reference(payment: Payment, reason: str, stripe_id: str) -> str:
    """Return the reversal's id. If it changes state a second time, which is rare at Stripe, add a number:
    `dp_1:2`.
    """
    query = select(func.count()).where(
        CreditEntry.customer_id.in_(owners.ledgers(payment.customer_id)),
        CreditEntry.reason == reason,
        or_(
            CreditEntry.reference == stripe_id, CreditEntry.reference.startswith(f"{stripe_id}:", autoescape=True)
        ),
    )
    earlier = db.session.execute(query).scalar_one()
    return f"{stripe_id}:{earlier + 1}" if earlier else stripe_id
