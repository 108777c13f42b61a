"""Usage that is taken back after its month was billed."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, mode, one_of, pk

STATES = ("open", "done", "refused", "unclear")


class UsageCorrection(Base):
    """An event of a billed month that is taken back, written before Stripe is asked for the credit note; once.

    The event and the bill stay as they are. Of `amount` so much as was invoiced is credited by the note, and what
    prepaid credits had paid comes back as credits.
    """

    __tablename__ = "usage_corrections"
    __table_args__ = (
        UniqueConstraint("customer_id", "identifier"),
        CheckConstraint(one_of("state", *STATES), "state"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    bill_id: Mapped[int] = mapped_column(BigId, ForeignKey("monthly_bills.id"), index=True)
    meter_id: Mapped[int] = mapped_column(BigId, ForeignKey("meters.id"))
    identifier: Mapped[str] = mapped_column(String(100))  # the event's
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[amount]  # what it takes off the bill, in the bill's currency
    credited: Mapped[int] = mapped_column(BigInteger)  # of that, what the credit note says
    credits: Mapped[int] = mapped_column(BigInteger)  # whole credits that came back
    params: Mapped[
        dict[str, Any] | None
    ]  # what the note is made with, word for word; null until its invoice is known
    state: Mapped[str] = mapped_column(String(10), default="open", index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    credit_note_id: Mapped[str | None] = mapped_column(
        String(255)
    )  # null until confirmed, or where none is needed
    created_at: Mapped[datetime]
