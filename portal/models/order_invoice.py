"""Stripe's invoices of orders that were paid without one."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, BigId, mode, one_of, pk

DUE = text("state = 'open'")


class OrderInvoice(Base):
    """The claim of a paid order's invoice, which is a document of the order and no payment of its own.

    `params` are what it is made of, written before the first call to Stripe; empty until then.
    """

    __tablename__ = "order_invoices"
    __table_args__ = (
        CheckConstraint(one_of("mode", *Mode), "mode"),
        CheckConstraint(one_of("state", "open", "done", "failed"), "state"),
        Index("ix_order_invoices_due", "next_at", sqlite_where=DUE, postgresql_where=DUE),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), index=True)
    order_id: Mapped[int] = mapped_column(BigId, ForeignKey("orders.id"), unique=True)
    state: Mapped[str] = mapped_column(String(10), default="open")
    attempt: Mapped[int] = mapped_column(default=1)
    params: Mapped[dict[str, Any]]
    invoice_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id, once the draft is made
    tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]  # when it is tried next
    error: Mapped[str | None] = mapped_column(String(100))  # Stripe's code or ours for why it is not made
    created_at: Mapped[datetime]
