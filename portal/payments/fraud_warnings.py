"""Early fraud warnings: stored, mailed to the admins, and shown until nothing is left to do.

A refund in time is cheaper than the dispute that usually follows
(https://docs.stripe.com/disputes/measuring#early-fraud-warnings). An admin decides whether to refund.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy import select

from portal import audit, extensions, gateway, mail
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, FraudWarning, Payment
from portal.payments import notifications, reversal_sync

log = structlog.get_logger()


@dataclass(frozen=True)
class WarningSnapshot:
    """A warning, with its charge and what that has of refunds and disputes."""

    mode: Mode
    facts: gateway.FraudWarning
    payment: reversal_sync.PaymentSnapshot


@dataclass(frozen=True)
class Shown:
    """A warning as the overview shows it."""

    row: FraudWarning
    payment: Payment
    user_id: int
    email: str
    bought: str


def read(mode: Mode, stripe_id: str) -> WarningSnapshot:
    """Fetch a warning and the payment that it is about."""
    facts = gateway.of(mode).fraud_warning(stripe_id)
    return WarningSnapshot(mode, facts, reversal_sync.read(mode, facts.charge))


def apply(snapshot: WarningSnapshot) -> bool:
    """Write the warning, and tell the admins of a new one. False for a payment that is not ours. Flushes."""
    payment = reversal_sync.apply(snapshot.payment)
    if payment is None:
        return False
    facts = snapshot.facts
    row = {
        "customer_id": payment.customer_id,
        "mode": snapshot.mode,
        "stripe_id": facts.id,
        "payment_id": payment.id,
        "fraud_type": facts.fraud_type,
        "is_actionable": facts.is_actionable,
        "created_at": facts.created,
    }
    statement = extensions.insert(FraudWarning).values(row)
    changes = {"is_actionable": facts.is_actionable}
    db.session.execute(statement.on_conflict_do_update(index_elements=["mode", "stripe_id"], set_=changes))
    _tell(payment, facts)
    return True


def _tell(payment: Payment, facts: gateway.FraudWarning) -> None:
    customer = db.session.get_one(Customer, payment.customer_id)
    cost = {"amount": payment.amount, "currency": payment.currency}
    log.warning("payment_fraud_warning", warning=facts.id, payment=payment.stripe_id, fraud_type=facts.fraud_type)
    audit.record(
        "payment.fraud_warning",
        customer_id=payment.customer_id,
        subject=payment.stripe_id,
        after=cost | {"warning": facts.id, "fraud_type": facts.fraud_type},
        key=facts.id,
    )
    if not facts.is_actionable:
        return
    page = mail.external("admin_customers.show", user_id=customer.user_id)
    about = {"email": customer.user.email, "fraud_type": facts.fraud_type, "name": notifications.bought(payment)}
    mail.tell_admins("fraud_warning", f"fraud_warning:{facts.id}", customer.mode, page=page, **about, **cost)


def actionable() -> list[Shown]:
    """The warnings that something can still be done about, newest first, 50 at most."""
    query = (
        select(FraudWarning, Payment, Customer)
        .join(Payment, Payment.id == FraudWarning.payment_id)
        .join(Customer, Customer.id == FraudWarning.customer_id)
        .where(FraudWarning.is_actionable)
        .order_by(FraudWarning.id.desc())
        .limit(50)
    )
    return [
        Shown(row, payment, customer.user_id, customer.user.email, notifications.bought(payment))
        for row, payment, customer in db.session.execute(query)
    ]
