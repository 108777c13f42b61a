"""Refunds and disputes of a usage bill: the bill stays paid, and a lost dispute suspends the customer."""

from typing import Any

from portal.customers import suspensions
from portal.models import Payment, ReversalKind, ReversalState
from portal.models.suspension import SuspensionReason
from portal.payments.reversal_effects import Turn


def take(payment: Payment, turn: Turn) -> dict[str, Any]:
    """Suspend the customer if a dispute is lost, until an admin lifts it. Usage continues while it is open.

    No card is charged. If the bank later changes its decision, the suspension is lifted too. Flushes.
    """
    row = turn.row
    if row.kind != ReversalKind.DISPUTE or not turn.is_news:
        return {}
    if row.status == ReversalState.LOST:
        return {"suspended": suspensions.add(payment.customer_id, SuspensionReason.DISPUTE, row.stripe_id)}
    if turn.status_before == ReversalState.LOST and not row.withdrawn:
        suspensions.lift(payment.customer_id, SuspensionReason.DISPUTE, about=row.stripe_id)
    return {}
