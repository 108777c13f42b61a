"""Refunds and disputes of credits: what a payment gave is taken back in proportion, and given back where it fails.

What a payment has to give back follows from all of its reversals together, so partial ones are exact in any
order: after each, the ledger holds what the whole says.
"""

from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import func, or_, select

from portal import money
from portal.credits import ledger, topup_rules
from portal.customers import owners
from portal.extensions import db
from portal.models import CreditEntry, Payment, Purchase
from portal.payments.takes import Turn

log = structlog.get_logger()

TAKING_BACK = ("refund", "dispute", "reinstatement")
WORDS = {
    ("refund", True): "Refunded payment",
    ("refund", False): "Refund that failed",
    ("dispute", True): "Disputed payment",
    ("dispute", False): "Dispute that was won",
}


def take(payment: Payment, turn: Turn) -> dict[str, Any]:
    """Post what is missing between what was taken back and what is owed. Flushes.

    Credits that are taken back pause the automatic top-up: it would buy again what was just refunded.
    """
    row = turn.row
    change = _taken(payment) - owed(payment, payment.amount_withdrawn)
    if change == 0:  # an earlier reversal has taken, or still takes, all of it
        return {}
    reason = row.kind if change < 0 else "reinstatement"
    entry = ledger.post(
        payment.customer_id,
        change,
        reason,
        _reference(payment, reason, row.stripe_id),
        description=WORDS[row.kind, change < 0],
        purchase_id=payment.purchase_id,
    )
    log.info("credits_reversed", reason=reason, credits=change, reversal=row.stripe_id, payment=payment.stripe_id)
    facts: dict[str, Any] = {"credits": change, "balance": entry.balance_after}
    if change < 0 and topup_rules.pause(payment.customer_id, "taken_back"):
        facts["top_up_paused"] = True
    return facts


def owed(payment: Payment, withdrawn: int) -> int:
    """How many credits a payment has to give back, of which so many minor units are withdrawn in all."""
    given = db.session.execute(select(Purchase.credits).filter_by(id=payment.purchase_id)).scalar_one() or 0
    return money.round_half_up(Decimal(min(withdrawn, payment.amount) * given) / payment.amount)


def _taken(payment: Payment) -> int:
    """How many of the payment's credits the ledger has taken back so far."""
    query = select(func.coalesce(func.sum(CreditEntry.amount), 0)).where(
        CreditEntry.customer_id.in_(owners.ledgers(payment.customer_id)),
        CreditEntry.purchase_id == payment.purchase_id,
        CreditEntry.reason.in_(TAKING_BACK),
    )
    return -int(db.session.execute(query).scalar_one())


def _reference(payment: Payment, reason: str, stripe_id: str) -> str:
    """The reversal's id; should it turn a second time, which Stripe rarely lets it, with a number: `dp_1:2`."""
    query = select(func.count()).where(
        CreditEntry.customer_id.in_(owners.ledgers(payment.customer_id)),
        CreditEntry.reason == reason,
        or_(
            CreditEntry.reference == stripe_id, CreditEntry.reference.startswith(f"{stripe_id}:", autoescape=True)
        ),
    )
    earlier = db.session.execute(query).scalar_one()
    return f"{stripe_id}:{earlier + 1}" if earlier else stripe_id
