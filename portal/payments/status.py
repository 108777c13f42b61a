"""How a payment stands, for pages and for SQL: paid, refunded in part or whole, disputed."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.extensions import db
from portal.models import Invoice, Payment


@dataclass(frozen=True)
class Standing:
    """What was paid by an invoice, and what of it went back; minor units of its currency."""

    paid: int = 0
    refunded: int = 0
    disputed: int = 0

    def word(self, otherwise: str) -> str:
        """`disputed`, `refunded`, `partly_refunded`, or `otherwise` where nothing went back."""
        if self.disputed:
            return "disputed"
        if not self.refunded:
            return otherwise
        return "refunded" if self.refunded >= self.paid else "partly_refunded"


Amount = ColumnElement[int] | InstrumentedAttribute[int]


def word_sql(
    paid: Amount, refunded: Amount, disputed: Amount, otherwise: InstrumentedAttribute[str]
) -> ColumnElement[str]:
    """The same in SQL; a sum of no rows, which is null, is nothing."""
    return case(
        (disputed > 0, "disputed"),
        ((refunded > 0) & (refunded >= paid), "refunded"),
        (refunded > 0, "partly_refunded"),
        else_=otherwise,
    )


def of_invoice(column: InstrumentedAttribute[int]) -> ColumnElement[int]:
    """A sum over the payments of an invoice, for a query of invoices; null where nothing paid it."""
    query = select(func.sum(column)).where(Payment.mode == Invoice.mode, Payment.invoice_id == Invoice.stripe_id)
    return query.scalar_subquery()


def of_invoices(query: Select[Invoice]) -> dict[Invoice, Standing]:
    """The invoices that a query finds, in its order, each with how it stands. One query."""
    columns = (Payment.amount, Payment.amount_refunded, Payment.amount_disputed)
    found = db.session.execute(query.add_columns(*map(of_invoice, columns)))
    return {row[0]: Standing(*(int(amount or 0) for amount in row[1:])) for row in found}
