"""What a failed payment of a plan brings with time, by the customer's own clock.

Mails on the first day, half-way and on the last day of the grace period, each once an invoice; then the free
tier, by `access.grants` alone. Nobody is mailed about a first payment: there was no plan yet.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, and_, select

from portal import access, clock, mail
from portal.billing import words
from portal.extensions import db
from portal.models import Customer, Invoice, Plan, Subscription

LAST_DAY = timedelta(days=1)

Owed = Row[Subscription, Invoice, Customer]


def run() -> int:
    """The tick's chore: the mail that is due to each whose payment failed; gives how many. Commits."""
    due = {_key(owed): owed for owed in _owing()}
    unsaid = mail.unsaid(due)
    plans = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()} if unsaid else {}
    for key in unsaid:
        _mail(key, due[key], plans)
    db.session.commit()
    return len(unsaid)


def stage(since: datetime, grace: timedelta, now: datetime) -> str:
    """first, half or last: of several mails that are due the latest, for who was away gets no three at once."""
    begins = {"first": since, "half": since + grace / 2, "last": since + grace - LAST_DAY}
    reached = [name for name, moment in begins.items() if moment <= now]
    return reached[-1] if reached else "first"


def _owing() -> Sequence[Owed]:
    """Each plan past due with the invoice that began it: the oldest open one that was attempted."""
    began = and_(
        Invoice.mode == Subscription.mode,
        Invoice.subscription_id == Subscription.stripe_id,
        Invoice.status == "open",
        Invoice.created_at == Subscription.past_due_since,
    )
    query = (
        select(Subscription, Invoice, Customer)
        .join(Invoice, began)
        .join(Customer, Customer.id == Subscription.customer_id)
        .where(Subscription.status == "past_due", Subscription.tier.is_not(None))
    )
    return db.session.execute(query).all()


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
        plan=words.name(subscription, plans),
        amount=invoice.amount_due,
        currency=invoice.currency,
        until=until.isoformat(),
        ended=until <= now,
        again=again.isoformat() if again and again > now else None,
        page=invoice.hosted_url or mail.external("billing.overview"),
    )
