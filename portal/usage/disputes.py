"""What refunds and disputes of a usage bill do: it counts as paid; a dispute that is lost suspends."""

from typing import Any

from portal.customers import suspensions
from portal.models import Payment
from portal.models.suspension import SuspensionReason
from portal.payments.takes import Turn


def take(payment: Payment, turn: Turn) -> dict[str, Any]:
    """While a dispute is open usage goes on. A lost one suspends until an admin lifts it; no card is charged.

    Should the bank decide otherwise after all, that lifts it too. Flushes.
    """
    row = turn.row
    if row.kind != "dispute" or not turn.is_news:
        return {}
    if row.status == "lost":
        return {"suspended": suspensions.add(payment.customer_id, SuspensionReason.DISPUTE, row.stripe_id)}
    if turn.status_before == "lost" and not row.withdrawn:
        suspensions.lift(payment.customer_id, SuspensionReason.DISPUTE, about=row.stripe_id)
    return {}
