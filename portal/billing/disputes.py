"""The effects of refunds and disputes on plans: paid once, by a subscription, or by any other invoice."""

from typing import Any

from sqlalchemy import exists, select

from portal.credits.included import reversals
from portal.customers import access, suspensions
from portal.extensions import db
from portal.models import Invoice, Payment, Plan, Reversal, ReversalKind, ReversalState, Subscription
from portal.models.payment import PaymentKind
from portal.models.plan import OnDispute
from portal.models.suspension import SuspensionReason
from portal.payments.reversal_effects import Turn


def take_plan(payment: Payment, turn: Turn) -> dict[str, Any]:
    """End a plan that was paid once while all of its payment is withdrawn: see `access.of`. Flushes."""
    if not turn.difference:
        return {}
    access.mark_changed(payment.customer_id)
    return {"access": "ended" if payment.is_withdrawn else "kept"}


def take_subscription(payment: Payment, turn: Turn) -> dict[str, Any]:
    """Take included credits back, and suspend the customer for a dispute if the plan says so, until it is won.

    Access itself stays. Flushes.
    """
    return reversals.take(payment, turn) | _suspend(payment, turn)


def _suspend(payment: Payment, turn: Turn) -> dict[str, Any]:
    row = turn.row
    if row.kind != ReversalKind.DISPUTE or not turn.is_news:
        return {}
    if row.withdrawn:
        if turn.withdrawn_before or _on_dispute(payment) != OnDispute.SUSPEND:
            return {}
        return {"suspended": suspensions.add(payment.customer_id, SuspensionReason.DISPUTE, row.stripe_id)}
    if turn.withdrawn_before and not still_disputed(payment.customer_id):
        suspensions.lift(payment.customer_id, SuspensionReason.DISPUTE, about=row.stripe_id)
    return {}


def take_invoice(payment: Payment, turn: Turn) -> dict[str, Any]:
    """Report the reversal of another invoice, which granted nothing that could be taken back."""
    return {}


def still_disputed(customer_id: int) -> bool:
    """Return whether another dispute suspends the customer: of a plan that suspends, or a lost one about usage."""
    query = select(Payment).where(
        Payment.customer_id == customer_id,
        Payment.amount_disputed > 0,
        exists().where(
            Reversal.payment_id == Payment.id, Reversal.withdrawn > 0, Reversal.kind == ReversalKind.DISPUTE
        ),
    )
    return any(_suspends(one) for one in db.session.execute(query).scalars())


def _suspends(payment: Payment) -> bool:
    if payment.kind == PaymentKind.USAGE:
        lost = exists().where(Reversal.payment_id == payment.id, Reversal.status == ReversalState.LOST)
        return bool(db.session.execute(select(lost)).scalar_one())
    return payment.kind == PaymentKind.SUBSCRIPTION and _on_dispute(payment) == OnDispute.SUSPEND


def _on_dispute(payment: Payment) -> str:
    """Return the dispute setting of the plan that a payment's invoice was for."""
    query = (
        select(Plan.on_dispute)
        .join(Subscription, Subscription.tier == Plan.tier)
        .join(Invoice, (Invoice.mode == Subscription.mode) & (Invoice.subscription_id == Subscription.stripe_id))
        .where(Invoice.mode == payment.mode, Invoice.stripe_id == payment.invoice_id)
    )
    return db.session.execute(query).scalars().first() or OnDispute.KEEP
