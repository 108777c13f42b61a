"""Credits: the append-only ledger, promotional grants, packages, and automatic top-ups."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, ForSale, amount, currency, one_of, pk

REASONS = ("purchase", "spend", "usage", "refund", "dispute", "reinstatement", "grant", "adjustment", "expiry")
OPEN_GRANT = text("remaining > 0")
TO_TELL = text("remaining <= warn_at")
GIVEN = text("reason <> 'spend'")
TO_TRY = text("next_try_at IS NOT NULL")
MAIL_DUE = text("mail_due")


class CreditEntry(Base):
    """One line of a customer's ledger, in whole credits. Database triggers refuse updates and deletes.

    sum(amount) = the newest balance_after = the customer's stored balance, always.
    """

    __tablename__ = "credit_entries"
    __table_args__ = (
        UniqueConstraint("customer_id", "reason", "reference"),
        CheckConstraint(one_of("reason", *REASONS), "reason"),
        Index(None, "customer_id", "id"),
        Index(None, "customer_id", "created_at", "id"),  # the history page's order
        # For totals over all customers: the total spent is derived from these few rows and the balances.
        Index(
            "ix_credit_entries_given",
            "reason",
            "customer_id",
            "amount",
            sqlite_where=GIVEN,
            postgresql_where=GIVEN,
        ),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    amount: Mapped[int] = mapped_column(BigInteger)  # whole credits; negative when credits are removed
    balance_after: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(15))
    reference: Mapped[str] = mapped_column(String(255))  # unique per customer and reason
    description: Mapped[str] = mapped_column(String(255), default="")
    order_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("orders.id"))
    created_at: Mapped[datetime]


class CreditGrant(Base):
    """The remaining part of credits that were granted until a date."""

    __tablename__ = "credit_grants"
    __table_args__ = (
        CheckConstraint("remaining >= 0", "remaining"),
        Index(
            "ix_credit_grants_open",
            "customer_id",
            "expires_at",
            sqlite_where=OPEN_GRANT,
            postgresql_where=OPEN_GRANT,
        ),
        Index("ix_credit_grants_due", "expires_at", sqlite_where=OPEN_GRANT, postgresql_where=OPEN_GRANT),
        Index("ix_credit_grants_to_tell", "id", sqlite_where=TO_TELL, postgresql_where=TO_TELL),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    entry_id: Mapped[int] = mapped_column(BigId, ForeignKey("credit_entries.id"), unique=True)
    amount: Mapped[int] = mapped_column(BigInteger)  # whole credits
    remaining: Mapped[int] = mapped_column(BigInteger)
    # The customer gets an email once no more than this remains. Null: none.
    warn_at: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(String(255), default="")
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]


class CreditPackage(ForSale, Base):
    """Credits at one price. The custom amount is a row too: the credits and the amount of one unit of the
    currency.
    """

    __tablename__ = "credit_packages"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)  # the catalogue's own
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    credits: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[amount]
    currency: Mapped[currency]
    position: Mapped[int]
    is_custom: Mapped[bool] = mapped_column(default=False)
    live_product_id: Mapped[str | None] = mapped_column(String(255))
    test_product_id: Mapped[str | None] = mapped_column(String(255))


class TopUpRule(Base):
    """When to buy credits automatically, how many, the monthly limit, and when to warn of a low balance."""

    __tablename__ = "top_up_rules"
    __table_args__ = (
        CheckConstraint("package_id IS NULL OR amount IS NULL", "one_choice"),
        # What the scheduled tasks ask for.
        Index("ix_top_up_rules_to_try", "next_try_at", sqlite_where=TO_TRY, postgresql_where=TO_TRY),
        Index("ix_top_up_rules_mail_due", "customer_id", sqlite_where=MAIL_DUE, postgresql_where=MAIL_DUE),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), unique=True)
    enabled: Mapped[bool] = mapped_column(default=False)
    threshold: Mapped[int] = mapped_column(BigInteger, default=0)  # whole credits
    package_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("credit_packages.id"))
    amount: Mapped[int | None] = mapped_column(BigInteger)  # minor units, if no package was chosen
    monthly_cap: Mapped[int] = mapped_column(BigInteger, default=0)  # minor units of the catalogue's currency
    consent_at: Mapped[datetime | None]  # null: never agreed to off-session charges
    paused_reason: Mapped[str | None] = mapped_column(String(255))  # null: not paused
    low_balance_at: Mapped[int | None] = mapped_column(BigInteger)  # whole credits; null: no such mail is sent
    # When a top-up is checked next; null: once the balance falls below the threshold.
    next_try_at: Mapped[datetime | None]
    # Whether the balance fell below `low_balance_at` since the mail was last checked.
    mail_due: Mapped[bool] = mapped_column(default=False, server_default=false())
    updated_at: Mapped[datetime]
