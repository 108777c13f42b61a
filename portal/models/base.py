"""The declarative base of all models: naming conventions, and the column types that they share."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases; SQLite has no zones, so they are put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was given; times in the database are aware UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal as text: SQLite has no exact type for one, and nobody adds these up in SQL."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


# SQLite numbers rows by itself only for INTEGER keys.
BigId = BigInteger().with_variant(Integer(), "sqlite")

pk = Annotated[int, mapped_column(BigId, primary_key=True)]
mode = Annotated[str, mapped_column(String(4))]  # "live" or "test"
stripe_id = Annotated[str, mapped_column(String(255))]
currency = Annotated[str, mapped_column(String(3))]  # ISO 4217, lower case as Stripe writes it
amount = Annotated[int, mapped_column(BigInteger)]  # minor units of the row's currency


class Base(DeclarativeBase):
    """Every table's base."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime(), dict[str, Any]: JSON(), list[str]: JSON()}


class ForSale:
    """What the catalogue sells at one price: what left the catalogue stays, withdrawn."""

    lookup_key: Mapped[str] = mapped_column(String(200), unique=True)
    withdrawn: Mapped[bool] = mapped_column(default=False)
    live_price_id: Mapped[str | None] = mapped_column(String(255), unique=True)  # null until pushed
    test_price_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    # The price that was archived at Stripe; another one in its place is offered.
    live_archived_id: Mapped[str | None] = mapped_column(String(255))
    test_archived_id: Mapped[str | None] = mapped_column(String(255))

    def stripe_id(self, mode: str) -> str | None:
        """The id of the price at Stripe in one mode; null where it was not pushed yet."""
        return self.live_price_id if mode == "live" else self.test_price_id

    def is_archived(self, mode: str) -> bool:
        """Whether Stripe has archived the price in one mode: it is not offered until it is active again."""
        archived = self.live_archived_id if mode == "live" else self.test_archived_id
        return archived is not None and archived == self.stripe_id(mode)


def one_of(column: str, *words: str) -> str:
    """The SQL of a check constraint that keeps a column to these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"
