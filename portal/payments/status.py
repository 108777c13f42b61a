"""The status of a payment or invoice, for pages and for SQL: paid, refunded partly or fully, disputed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import InstrumentedAttribute

from portal import gateway
from portal.enums import Mode, State
from portal.extensions import db
from portal.models import Invoice, InvoiceStatus, PaidState, Payment, PaymentStatus, ReversalKind, ReversalState


@dataclass(frozen=True)
class Standing:
    """The amounts of an invoice that were paid and returned, in minor units of its currency."""

    paid: int = 0
    refunded: int = 0
    disputed: int = 0

    def status(self, otherwise: State) -> State:
        """Return the PaidState that applies, or `otherwise` if there is none."""
        if self.disputed:
            return PaidState.DISPUTED
        if not self.refunded:
            is_part = otherwise == InvoiceStatus.OPEN and self.paid
            return PaidState.PARTLY_PAID if is_part else otherwise
        return PaidState.REFUNDED if self.refunded >= self.paid else PaidState.PARTLY_REFUNDED


Amount = ColumnElement[int] | InstrumentedAttribute[int]
Status = InstrumentedAttribute[InvoiceStatus] | InstrumentedAttribute[PaymentStatus]


def status_sql(paid: Amount, refunded: Amount, disputed: Amount, otherwise: Status) -> ColumnElement[str]:
    """Return the same as an SQL expression, for `read`. A sum of no rows is null and counts as zero."""
    return case(
        (disputed > 0, PaidState.DISPUTED.value),
        ((refunded > 0) & (refunded >= paid), PaidState.REFUNDED.value),
        (refunded > 0, PaidState.PARTLY_REFUNDED.value),
        ((otherwise == InvoiceStatus.OPEN) & (paid > 0), PaidState.PARTLY_PAID.value),
        else_=otherwise,
    )


def read(word: str, otherwise: type[State]) -> State:
    """Return the enum value for a result of `status_sql`: a PaidState, or a status of `otherwise`."""
    return PaidState(word) if word in list(PaidState) else otherwise(word)


def of_invoice(column: InstrumentedAttribute[int]) -> ColumnElement[int]:
    """Return a sum over the payments of an invoice, for a query of invoices; null if nothing paid it."""
    query = select(func.sum(column)).where(Payment.mode == Invoice.mode, Payment.invoice_id == Invoice.stripe_id)
    return query.scalar_subquery()


def parts(mode: Mode, invoice_id: str | None) -> Sequence[Payment]:
    """List the payments of an invoice that was paid in several, oldest first; otherwise none."""
    query = select(Payment).filter_by(mode=mode, invoice_id=invoice_id, status="succeeded")
    found = db.session.execute(query.order_by(Payment.created_at, Payment.id)).scalars().all()
    return found if len(found) > 1 else []


def of_invoices(query: Select[Invoice]) -> dict[Invoice, Standing]:
    """Return the invoices that a query finds, in its order, each with its amounts. Runs one query."""
    columns = (Payment.amount, Payment.amount_refunded, Payment.amount_disputed)
    found = db.session.execute(query.add_columns(*map(of_invoice, columns)))
    return {row[0]: Standing(*(int(amount or 0) for amount in row[1:])) for row in found}


def withdrawn(reversal: gateway.Reversal) -> int:
    """Return how much of the payment a reversal withdraws now, in minor units."""
    takes = ReversalState(reversal.status).takes_money(ReversalKind(reversal.kind))
    return reversal.amount if takes else 0
