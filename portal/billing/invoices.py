"""Invoices as the pages show them."""

from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import or_, select

from portal import audit, clock, gateway, mail
from portal.allowances import periods
from portal.billing import subscriptions
from portal.billing.lifecycle import void_claims
from portal.credits.included import giving
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db, once_committed
from portal.models import Customer, Invoice, InvoiceStatus, PaymentKind
from portal.orders.documents import claims
from portal.payments import record, status
from portal.payments.status import Standing
from portal.sync import locks, upsert, versions
from portal.usage.monthly_run import bill_states
from portal.web.pages import rfc3339

log = structlog.get_logger()

STILL_NEWS = timedelta(days=3)  # as long as Stripe retries the delivery of an event


@dataclass(frozen=True)
class InvoiceSnapshot:
    """An invoice as Stripe has it, and its subscription, whose status changes with a payment."""

    mode: Mode
    number: int
    facts: gateway.Invoice
    subscription: subscriptions.SubscriptionSnapshot | None = None

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return self.facts.id


def sync(mode: Mode, invoice_id: str) -> str:
    """Sync our copy of an invoice and of its subscription, and return the invoice's status. Commits."""
    snapshot = read(mode, invoice_id)
    versions.hold(snapshot)
    apply(snapshot)
    db.session.commit()
    return snapshot.facts.status


def read(mode: Mode, invoice_id: str) -> InvoiceSnapshot:
    """Take a number and fetch the invoice, then its subscription with its own number."""
    alone = read_alone(mode, invoice_id)
    subscription = alone.facts.subscription and subscriptions.read(mode, alone.facts.subscription)
    return replace(alone, subscription=subscription or None)


def read_alone(mode: Mode, invoice_id: str) -> InvoiceSnapshot:
    """Do the same without the subscription, for callers that fetch it anyway."""
    number = versions.take(mode, invoice_id)
    return InvoiceSnapshot(mode, number, gateway.of(mode).invoice(invoice_id))


def read_latest(mode: Mode, subscription_id: str, limit: int = 12) -> list[InvoiceSnapshot]:
    """Fetch a subscription's newest invoices: once to take their numbers, and again with those."""
    lane = gateway.of(mode)
    numbers = {one.id: versions.take(mode, one.id) for one in lane.latest_invoices(subscription_id, limit)}
    listed = lane.latest_invoices(subscription_id, limit) if numbers else []
    return [InvoiceSnapshot(mode, numbers[one.id], one) for one in listed if one.id in numbers]


def apply(snapshot: InvoiceSnapshot, *, tell: bool = True) -> bool:
    """Write the invoice and its subscription. Returns False for a customer that isn't ours. Flushes.

    The document of an order is not written: it was paid by the order's payment.
    """
    customer = stripe_customers.by_stripe_id(snapshot.mode, snapshot.facts.customer)
    if customer is None:
        return False
    if claims.is_document(snapshot.facts):
        return True
    if snapshot.subscription is not None:
        subscriptions.apply(snapshot.subscription)
    if snapshot.facts.status == InvoiceStatus.DRAFT and snapshot.facts.finalization_error:
        _note_stuck(snapshot.facts, customer)
    if snapshot.facts.status != InvoiceStatus.DRAFT and versions.use(snapshot):
        owner_id = locks.lock_owner(lambda: stripe_customers.id_of(snapshot.mode, snapshot.facts.customer))
        owner = db.session.get_one(Customer, owner_id)
        is_news = _write(snapshot, owner.id)
        if tell:
            _tell(snapshot.facts, owner, is_news=is_news)
    return True


def _write(snapshot: InvoiceSnapshot, customer_id: int) -> bool:
    """Write the invoice and what follows from it. Returns whether it has this status for the first time."""
    facts = snapshot.facts
    values = {
        "customer_id": customer_id,
        "subscription_id": facts.subscription,
        "number": facts.number,
        "status": facts.status,
        "total": facts.total,
        "amount_paid": facts.amount_paid,
        "amount_due": facts.amount_due,
        "currency": facts.currency,
        "hosted_url": facts.hosted_url,
        "pdf_url": facts.pdf_url,
        "needs_action": facts.needs_action,
        "next_attempt_at": facts.next_attempt_at,
        "amount_remaining": facts.amount_remaining,
        "is_sent": facts.is_sent,
        "due_at": facts.due_at,
        "description": facts.description,
        "from_balance": facts.from_balance,
        "credited_due": facts.credited_due,
        "credited_paid": facts.credited_paid,
        "created_at": facts.created,
        "synced_at": clock.now(),
    }
    upsert.write(Invoice, snapshot.mode, facts.id, values)
    if facts.status == InvoiceStatus.OPEN and facts.subscription:
        void_claims.write(snapshot.mode, facts.subscription)
    record.of_invoice(snapshot.mode, customer_id, _kind(facts), facts)
    is_news = _note(facts, customer_id)
    bill_states.follow(customer_id, facts)
    if facts.status == InvoiceStatus.PAID and facts.subscription:
        customer = db.session.get_one(Customer, customer_id, populate_existing=True)
        giving.give(periods.pay(facts, snapshot.mode), clock.now(customer.clock_at))
    return is_news


def _note(facts: gateway.Invoice, customer_id: int) -> bool:
    """Write the status to the audit log, once, and return whether it is a new one."""
    return audit.record(
        f"invoice.{facts.status}",
        customer_id=customer_id,
        subject=facts.id,
        after={"total": facts.total, "amount_paid": facts.amount_paid, "currency": facts.currency},
        key=f"{facts.id}:{facts.status}",
    )


def _kind(facts: gateway.Invoice) -> PaymentKind:
    if facts.metadata.get("monthly_bill"):
        return PaymentKind.USAGE
    return PaymentKind.SUBSCRIPTION if facts.subscription else PaymentKind.INVOICE


def _tell(facts: gateway.Invoice, customer: Customer, *, is_news: bool) -> None:
    """Mail the receipt, and log each payment and each failed attempt once: these lines are counted."""
    amounts = {"invoice": facts.id, "currency": facts.currency}
    if facts.status == InvoiceStatus.PAID:
        if is_news:
            once_committed(log.info, "payment_succeeded", amount=facts.amount_paid, **amounts)
        _mail_receipt(facts, customer)
    elif facts.attempted and facts.status == InvoiceStatus.OPEN and _note_failure(facts, customer.id):
        once_committed(log.info, "payment_failed", amount=facts.amount_due, **amounts)


def _note_failure(facts: gateway.Invoice, customer_id: int) -> bool:
    """Write each failed attempt to the audit log, once, and return whether it is a new one. The time of the next
    attempt tells them apart.
    """
    after = {"amount": facts.amount_due, "currency": facts.currency, "next_try": rfc3339(facts.next_attempt_at)}
    key = f"{facts.id}:not_paid:{after['next_try']}"
    return audit.record("invoice.not_paid", customer_id=customer_id, subject=facts.id, after=after, key=key)


def _note_stuck(facts: gateway.Invoice, customer: Customer) -> None:
    """Mail the admins about a draft that Stripe cannot finalize: nobody is charged until it is corrected."""
    code = facts.finalization_error
    after, key = {"code": code}, f"{facts.id}:not_finalized:{code}"
    if audit.record("invoice.not_finalized", customer_id=customer.id, subject=facts.id, after=after, key=key):
        once_committed(log.error, "invoice_not_finalized", invoice=facts.id, code=code)
    mail.tell_admins(
        "invoice_not_finalized",
        f"not_finalized:{facts.id}:{code}",
        customer.mode,
        page=mail.external("admin_customers.show", user_id=customer.user_id),
        email=customer.user.email,
        invoice=facts.id,
        amount=facts.amount_due,
        currency=facts.currency,
        code=code,
    )


def _mail_receipt(facts: gateway.Invoice, customer: Customer) -> None:
    """Mail one receipt per invoice for a recent payment. For an older invoice it was sent at the time."""
    paid_at, now = facts.paid_at, clock.now(customer.clock_at)
    if facts.amount_paid and paid_at and facts.hosted_url and paid_at > now - STILL_NEWS:
        mail.tell(
            customer,
            "receipt",
            f"receipt:{facts.id}",
            amount=facts.amount_paid,
            currency=facts.currency,
            number=facts.number,
            paid_at=paid_at.isoformat(),
            page=facts.hosted_url,
        )


def to_show(customer_id: int, limit: int = 12) -> dict[Invoice, Standing]:
    """List the customer's newest invoices, newest first, each with the returned part of its payments.

    Older ones that wait for their payment are included, because they can still be paid. Runs one query.
    """
    mine = select(Invoice).filter_by(customer_id=customer_id)
    newest = mine.order_by(Invoice.created_at.desc(), Invoice.id.desc()).limit(limit).with_only_columns(Invoice.id)
    shown = mine.where(or_(Invoice.status == InvoiceStatus.OPEN, Invoice.id.in_(newest)))
    return status.of_invoices(shown.order_by(Invoice.created_at.desc(), Invoice.id.desc()))
