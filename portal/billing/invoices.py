"""Invoices as the pages show them."""

from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import select

from portal import audit, clock, gateway, mail
from portal.billing import subscriptions
from portal.customers import locks
from portal.extensions import db
from portal.models import Customer, Invoice, PaymentKind
from portal.pages import rfc3339
from portal.payments import record, status
from portal.payments.status import Standing
from portal.purchases import copies, customers, tickets
from portal.usage import bills

log = structlog.get_logger()

STILL_NEWS = timedelta(days=3)  # as long as Stripe tries to deliver an event


@dataclass(frozen=True)
class Snapshot:
    """An invoice as Stripe has it, and its subscription, whose status a payment changes."""

    mode: str
    number: int
    facts: gateway.Invoice
    subscription: subscriptions.Snapshot | None = None

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.facts.id


def sync(mode: str, invoice_id: str) -> str:
    """Bring our copy, and its subscription's, to where Stripe is; gives its status there. Commits."""
    snapshot = read(mode, invoice_id)
    tickets.hold(snapshot)
    apply(snapshot)
    db.session.commit()
    return snapshot.facts.status


def read(mode: str, invoice_id: str) -> Snapshot:
    """Take a number and fetch the invoice, then its subscription under a number of its own."""
    alone = read_alone(mode, invoice_id)
    subscription = alone.facts.subscription and subscriptions.read(mode, alone.facts.subscription)
    return replace(alone, subscription=subscription or None)


def read_alone(mode: str, invoice_id: str) -> Snapshot:
    """The same without its subscription, for whoever fetches that anyway."""
    number = tickets.take(mode, invoice_id)
    return Snapshot(mode, number, gateway.of(mode).invoice(invoice_id))


def read_latest(mode: str, subscription_id: str, limit: int = 12) -> list[Snapshot]:
    """A subscription's newest invoices: listed once for their numbers, and then again under these."""
    lane = gateway.of(mode)
    numbers = {one.id: tickets.take(mode, one.id) for one in lane.latest_invoices(subscription_id, limit)}
    listed = lane.latest_invoices(subscription_id, limit) if numbers else []
    return [Snapshot(mode, numbers[one.id], one) for one in listed if one.id in numbers]


def apply(snapshot: Snapshot, *, tell: bool = True) -> bool:
    """Write the invoice and its subscription. False for a customer that isn't ours. Flushes."""
    customer = customers.by_stripe_id(snapshot.mode, snapshot.facts.customer)
    if customer is None:
        return False
    if snapshot.subscription is not None:
        subscriptions.apply(snapshot.subscription)
    if snapshot.facts.status == "draft" and snapshot.facts.finalization_error:
        _note_stuck(snapshot.facts, customer.id)
    if snapshot.facts.status != "draft" and tickets.use(snapshot):
        locks.lock(customer.id)
        _write(snapshot, customer.id)
        if tell:
            _tell(snapshot.facts, customer)
    return True


def _write(snapshot: Snapshot, customer_id: int) -> None:
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
        "created_at": facts.created,
        "synced_at": clock.now(),
    }
    copies.write(Invoice, snapshot.mode, facts.id, values)
    record.of_invoice(snapshot.mode, customer_id, _kind(facts), facts)
    audit.record(
        f"invoice.{facts.status}",
        customer_id=customer_id,
        subject=facts.id,
        after={"total": facts.total, "amount_paid": facts.amount_paid, "currency": facts.currency},
        key=f"{facts.id}:{facts.status}",
    )
    bills.follow(customer_id, facts)


def _kind(facts: gateway.Invoice) -> PaymentKind:
    if facts.metadata.get("monthly_bill"):
        return PaymentKind.USAGE
    return PaymentKind.SUBSCRIPTION if facts.subscription else PaymentKind.INVOICE


def _tell(facts: gateway.Invoice, customer: Customer) -> None:
    amounts = {"invoice": facts.id, "currency": facts.currency}
    if facts.status == "paid":
        log.info("payment_succeeded", amount=facts.amount_paid, **amounts)
        _mail_receipt(facts, customer)
    elif facts.attempted:
        log.info("payment_failed", amount=facts.amount_due, **amounts)
        if facts.status == "open":
            _note_failure(facts, customer.id)


def _note_failure(facts: gateway.Invoice, customer_id: int) -> None:
    """Each try that failed, for the audit log; when the next one is tells them apart."""
    after = {"amount": facts.amount_due, "currency": facts.currency, "next_try": rfc3339(facts.next_attempt_at)}
    key = f"{facts.id}:not_paid:{after['next_try']}"
    audit.record("invoice.not_paid", customer_id=customer_id, subject=facts.id, after=after, key=key)


def _note_stuck(facts: gateway.Invoice, customer_id: int) -> None:
    """A draft that Stripe cannot finalize is charged to nobody until a person mends it: the audit log says so."""
    code = facts.finalization_error
    log.error("invoice_not_finalized", invoice=facts.id, code=code)
    key = f"{facts.id}:not_finalized:{code}"
    audit.record("invoice.not_finalized", customer_id=customer_id, subject=facts.id, after={"code": code}, key=key)


def _mail_receipt(facts: gateway.Invoice, customer: Customer) -> None:
    """Once an invoice, for what was paid just now: an invoice that is read years later was told of then."""
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


def latest(customer_id: int, limit: int = 12) -> dict[Invoice, Standing]:
    """The customer's newest invoices, the newest first, each with what of its payments went back."""
    query = select(Invoice).filter_by(customer_id=customer_id).order_by(Invoice.created_at.desc()).limit(limit)
    return status.of_invoices(query)
