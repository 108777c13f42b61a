"""The tables that the history reads.

A ledger entry includes the payment or refund that it stands for. A payment or refund has its own row only while no
entry covers it (declined, pending, or not yet processed).
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute

from portal.models import CreditEntry, Invoice, Order, Payment, PaymentStatus, Reversal
from portal.payments.status import of_invoice, status_sql

ENTRY, PAYMENT, REVERSAL, INVOICE = range(4)  # at the same moment the last one comes first

REVERSED = ("refund", "dispute", "reinstatement")
OTHERS = ("grant", "expiry", "adjustment")

# The filters, with their labels.
KINDS = {
    "purchases": "Purchases",
    "spends": "Credits spent",
    "refunds": "Refunds and disputes",
    "grants": "Grants and adjustments",
    "invoices": "Invoices",
}

# The customer is bound when a statement runs, so that one statement serves all customers.
CUSTOMER = bindparam("customer", type_=BigInteger)
MODE = bindparam("mode", type_=String)

Columns = list[ColumnElement[Any]]


@dataclass(frozen=True)
class Source:
    """One table's part: its rank within the same moment, its order, its searchable columns, and its rows."""

    rank: int
    created_at: InstrumentedAttribute[Any]
    id: InstrumentedAttribute[Any]
    searched: tuple[InstrumentedAttribute[Any], ...]
    rows: Select[Any]


def of(kind: str) -> list[Source]:
    """List the sources with rows of a kind; all sources if it is empty."""
    if kind == "invoices":
        return [_invoices()]
    found = [_entries(kind)]
    if kind in ("", "purchases"):
        found.append(_payments())
    if kind in ("", "refunds"):
        found.append(_reversals())
    return found if kind else [*found, _invoices()]


TYPES = {
    "kind": String,
    "description": String,
    "reference": String,
    "amount": BigInteger,
    "currency": String,
    "credits": BigInteger,
    "balance": BigInteger,
    "status": String,
    "url": Text,
    "document_url": Text,
    "credited": BigInteger,
    "from_balance": BigInteger,
}


def _row(rank: int, table: Any, **columns: Any) -> Columns:
    """Return the columns of history.Row, in order; null for those that a source does not have."""
    key = [table.created_at.label("created_at"), literal_column(str(rank)).label("source"), table.id.label("id")]
    # PostgreSQL needs the type of a null that another part of the union fills.
    return key + [columns.get(name, cast(null(), kind)).label(name) for name, kind in TYPES.items()]


def _entries(kind: str) -> Source:
    entry = CreditEntry
    money = case(
        (entry.reason == "purchase", Payment.amount),
        (entry.reason == "reinstatement", Reversal.amount),
        else_=-Reversal.amount,
    )
    columns = _row(
        ENTRY,
        entry,
        kind=entry.reason,
        description=entry.description,
        reference=entry.reference,
        amount=money,
        currency=Payment.currency,
        credits=entry.amount,
        balance=entry.balance_after,
        status=case((entry.reason == "purchase", _paid_status()), else_=Reversal.status),
        url=Payment.receipt_url,
        document_url=Payment.document_url,
    )
    is_reversal = and_(entry.reason.in_(REVERSED), Reversal.mode == MODE)
    rows = (
        select(*columns)
        .outerjoin(Payment, and_(Payment.order_id == entry.order_id, Payment.status == PaymentStatus.SUCCEEDED))
        .outerjoin(Reversal, and_(is_reversal, Reversal.stripe_id == entry.reference))
        .where(entry.customer_id == CUSTOMER, *_of_kind(kind))
    )
    return Source(ENTRY, entry.created_at, entry.id, (entry.description, entry.reference, entry.reason), rows)


def _of_kind(kind: str) -> list[ColumnElement[bool]]:
    """Return the filter of a kind. Spends are most of a busy ledger and are read in its order; others are few
    and found by reason.
    """
    reasons = {"purchases": ("purchase",), "refunds": REVERSED, "grants": OTHERS}
    if kind == "spends":
        return [CreditEntry.reason.not_in(("purchase", *REVERSED, *OTHERS))]
    return [CreditEntry.reason.in_(reasons[kind])] if kind else []


def _paid_status() -> ColumnElement[str]:
    return status_sql(Payment.amount, Payment.amount_refunded, Payment.amount_disputed, Payment.status)


def _invoice_status() -> ColumnElement[str]:
    paid, refunded = of_invoice(Payment.amount), of_invoice(Payment.amount_refunded)
    return status_sql(paid, refunded, of_invoice(Payment.amount_disputed), Invoice.status)


def _payments() -> Source:
    columns = _row(
        PAYMENT,
        Payment,
        kind=literal("payment"),
        description=Order.name,
        reference=Payment.stripe_id,
        amount=Payment.amount,
        currency=Payment.currency,
        status=_paid_status(),
        url=Payment.receipt_url,
        document_url=Payment.document_url,
    )
    told = exists().where(
        CreditEntry.customer_id == CUSTOMER,
        CreditEntry.reason == "purchase",
        CreditEntry.reference.in_([Order.session_id, Order.payment_intent]),
    )
    rows = select(*columns).join(Order, Order.id == Payment.order_id)
    rows = rows.where(Payment.customer_id == CUSTOMER, ~told)
    return Source(PAYMENT, Payment.created_at, Payment.id, (Order.name, Payment.stripe_id), rows)


def _reversals() -> Source:
    columns = _row(
        REVERSAL,
        Reversal,
        kind=Reversal.kind,
        description=func.coalesce(Order.name, Invoice.number, ""),
        reference=Reversal.stripe_id,
        amount=-Reversal.amount,
        currency=Payment.currency,
        status=Reversal.status,
        url=Payment.receipt_url,
    )
    told = exists().where(
        CreditEntry.customer_id == CUSTOMER,
        CreditEntry.reason == Reversal.kind,
        CreditEntry.reference == Reversal.stripe_id,
    )
    rows = select(*columns).join(Payment, Payment.id == Reversal.payment_id)
    rows = rows.outerjoin(Order, Order.id == Payment.order_id)
    rows = rows.outerjoin(Invoice, and_(Invoice.mode == Payment.mode, Invoice.stripe_id == Payment.invoice_id))
    rows = rows.where(Reversal.customer_id == CUSTOMER, ~told)
    searched = (Order.name, Invoice.number, Reversal.stripe_id, Reversal.kind)
    return Source(REVERSAL, Reversal.created_at, Reversal.id, searched, rows)


def _invoices() -> Source:
    columns = _row(
        INVOICE,
        Invoice,
        kind=literal("invoice"),
        description=literal(""),
        reference=func.coalesce(Invoice.number, ""),
        amount=Invoice.total,
        currency=Invoice.currency,
        status=_invoice_status(),
        url=func.coalesce(Invoice.hosted_url, Invoice.pdf_url),
        credited=Invoice.credited_due + Invoice.credited_paid,
        from_balance=Invoice.from_balance,
    )
    rows = select(*columns).where(Invoice.customer_id == CUSTOMER)
    return Source(INVOICE, Invoice.created_at, Invoice.id, (Invoice.number, Invoice.status), rows)
