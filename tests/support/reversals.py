"""Refunds and disputes at Stripe, and what follows from them here."""

from typing import Any

from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry, OutboxMail, Payment
from portal.payments import refunds
from tests.support.looking import one
from tests.support.world import World


def refund(here: World, intent: str, amount: int | None = None) -> None:
    """Refund a payment at Stripe, or a part of it."""
    given: dict[str, Any] = {"payment_intent": intent} | ({"amount": amount} if amount else {})
    here.stripe().v1.refunds.create(given)
    here.flush()


def give_back(payment: Payment, form: str = "the form") -> None:
    """Refund $5 of a payment with a form, as an admin does."""
    refundable = refunds.refundable_of_payment(payment)
    db.session.commit()
    refunds.issue(refundable, 500, 0, form)


def refunded(here: World, intent: str) -> list[int]:
    """List the amounts that Stripe has refunded of a payment."""
    return [one.amount for one in here.stripe().v1.refunds.list({"payment_intent": intent}).data]


def dispute(here: World, intent: str) -> None:
    """Open a dispute of a payment."""
    here.control(f"disputes/{intent}")
    here.flush()


def inquiry(here: World) -> None:
    """Pay another subscription of the only customer with a card whose bank only inquires."""
    stripe = here.stripe().v1
    customer = str(stripe.payment_intents.retrieve(intent_of(here, "subscription")).customer)
    method = stripe.payment_methods.attach("pm_card_createDisputeInquiry", {"customer": customer}).id
    price = stripe.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    stripe.subscriptions.create(
        {"customer": customer, "items": [{"price": price}], "default_payment_method": method}
    )
    here.flush()


def decide(here: World, verdict: str) -> None:
    """Have the bank decide the newest dispute: `winning` or `losing`."""
    found = here.stripe().v1.disputes.list({"limit": 1}).data[0]
    evidence = {"evidence": {"uncategorized_text": f"{verdict}_evidence"}, "submit": True}
    here.stripe().v1.disputes.update(found.id, evidence)
    here.flush()


def intent_of(here: World, kind: str) -> str:
    """Return the payment intent of the only payment of this kind."""
    return str(one(here, select(Payment.stripe_id).filter_by(kind=kind)))


def withdrawn(here: World) -> int:
    """Return how much of the only payment is refunded or disputed."""
    return int(one(here, select(Payment.amount_withdrawn)))


def mails(here: World, template: str) -> list[dict[str, Any]]:
    """List the facts of the queued mails of a template, oldest first."""
    with here.app.app_context():
        query = select(OutboxMail.context).filter_by(template=template).order_by(OutboxMail.id)
        return list(db.session.execute(query).scalars())


def db_actions(here: World, action: str) -> list[str]:
    """List the subjects of an action in the audit log."""
    with here.app.app_context():
        query = select(AuditEntry.subject).filter_by(action=action)
        return list(db.session.execute(query).scalars())
