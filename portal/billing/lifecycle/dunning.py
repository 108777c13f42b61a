"""Dunning: what follows a failed payment of a plan, by the customer's own clock.

It mails on the first day, half-way and on the last day of the grace period, each once per invoice. After that,
`access.grants` ends the plan. A failed first payment sends no mail, because there was no plan yet.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, and_, exists, literal, select

from portal import clock, mail
from portal.billing.status import labels
from portal.customers import access
from portal.extensions import db
from portal.models import Customer, Invoice, InvoiceStatus, OutboxMail, Plan, Subscription, SubscriptionStatus

LAST_DAY = timedelta(days=1)
TOGETHER = 500  # plans looked at together

Owed = Row[Subscription, Invoice, Customer]


def run() -> int:
    """Scheduled task: send the due mail to each customer with a failed payment, and return how many. Commits."""
    told, last = 0, 0
    while owing := _owing(last):
        told += _tell(owing)
        db.session.commit()
        last = owing[-1][0].id
    db.session.commit()
    return told


def _tell(owing: Sequence[Owed]) -> int:
    due = {_key(owed): owed for owed in owing}
    unsaid = mail.unsaid(due)
    plans = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()} if unsaid else {}
    for key in unsaid:
        _mail(key, due[key], plans)
    return len(unsaid)


def stage(since: datetime, grace: timedelta, now: datetime) -> str:
    """Return first, half or last. If several mails are due after a downtime, only the latest is sent."""
    begins = {"first": since, "half": since + grace / 2, "last": since + grace - LAST_DAY}
    reached = [name for name, moment in begins.items() if moment <= now]
    return reached[-1] if reached else "first"


def _owing(after: int) -> Sequence[Owed]:
    """Return the next past-due plans with a mail left to send, each with its oldest open, attempted invoice."""
    began = and_(
        Invoice.mode == Subscription.mode,
        Invoice.subscription_id == Subscription.stripe_id,
        Invoice.status == InvoiceStatus.OPEN,
        Invoice.created_at == Subscription.past_due_since,
    )
    is_told = exists().where(OutboxMail.key == literal("payment-failed:") + Invoice.stripe_id + ":last")
    query = (
        select(Subscription, Invoice, Customer)
        .join(Invoice, began)
        .join(Customer, Customer.id == Subscription.customer_id)
        .where(Subscription.status == SubscriptionStatus.PAST_DUE, Subscription.tier.is_not(None), ~is_told)
        .where(Subscription.id > after)
    )
    return db.session.execute(query.order_by(Subscription.id).limit(TOGETHER)).all()


def _key(owed: Owed) -> str:
    subscription, invoice, customer = owed
    grace = access.grace_of(subscription, customer)
    return f"payment-failed:{invoice.stripe_id}:{stage(invoice.created_at, grace, clock.now(customer.clock_at))}"


def _mail(key: str, owed: Owed, plans: dict[str, Plan]) -> None:
    subscription, invoice, customer = owed
    until, now = invoice.created_at + access.grace_of(subscription, customer), clock.now(customer.clock_at)
    again = invoice.next_attempt_at
    mail.tell(
        customer,
        "confirm_payment" if invoice.needs_action else "payment_failed",
        key,
        plan=labels.name(subscription, plans),
        amount=invoice.amount_due,
        currency=invoice.currency,
        until=until.isoformat(),
        ended=until <= now,
        again=again.isoformat() if again and again > now else None,
        page=invoice.hosted_url or mail.external("billing.overview"),
    )
