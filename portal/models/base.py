"""The declarative base of all models: naming conventions and shared column types."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, String, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from portal.enums import Mode

Enum = TypeVar("Enum", bound=StrEnum)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases. SQLite stores no time zone, so it is added when reading."""

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
    """A decimal stored as text: SQLite has no exact decimal type, and these values are never summed in SQL."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Word(TypeDecorator[Enum], Generic[Enum]):
    """A value of an enum, stored as a string, so that the database also accepts values that Stripe adds later."""

    impl = String
    cache_ok = True

    def __init__(self, enum: type[Enum], length: int) -> None:
        super().__init__(length)
        self.enum = enum

    def read(self, value: Any) -> Any:
        """Return the enum value for a string. Return anything else, such as an SQL expression, unchanged."""
        return self.enum(value) if isinstance(value, str) else value

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Enum | None:
        return None if value is None else self.enum(value)


# SQLite assigns row ids only for INTEGER primary keys.
BigId = BigInteger().with_variant(Integer(), "sqlite")

pk = Annotated[int, mapped_column(BigId, primary_key=True)]
mode = Annotated[Mode, mapped_column(Word(Mode, 4))]
stripe_id = Annotated[str, mapped_column(String(255))]
currency = Annotated[str, mapped_column(String(3))]  # ISO 4217, lower case as Stripe writes it
amount = Annotated[int, mapped_column(BigInteger)]  # minor units of the row's currency


class Base(DeclarativeBase):
    """The base class of every model."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


@event.listens_for(Base, "attribute_instrument", propagate=True)
def _read_words(_model: type, _name: str, attribute: Any) -> None:
    """Convert a plain string that is set on a Word column to its enum, as loading does."""
    columns = getattr(attribute.property, "columns", ())
    word = columns[0].type if columns else None
    if isinstance(word, Word):
        event.listen(attribute, "set", lambda _row, value, *_: word.read(value), retval=True)


class ForSale:
    """An item that the catalogue sells at one price. Items that left the catalogue stay in the table as
    withdrawn.
    """

    lookup_key: Mapped[str] = mapped_column(String(200), unique=True)
    withdrawn: Mapped[bool] = mapped_column(default=False)
    live_price_id: Mapped[str | None] = mapped_column(String(255), unique=True)  # null until pushed
    test_price_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    # The price that was archived at Stripe. If another price replaces it, the item is offered again.
    live_archived_id: Mapped[str | None] = mapped_column(String(255))
    test_archived_id: Mapped[str | None] = mapped_column(String(255))

    def stripe_id(self, mode: Mode) -> str | None:
        """Return the id of the Stripe price in one mode, or None if it has not been pushed yet."""
        return self.live_price_id if mode == Mode.LIVE else self.test_price_id

    def is_archived(self, mode: Mode) -> bool:
        """Return whether Stripe has archived the price in one mode. It is not offered until it is active again."""
        archived = self.live_archived_id if mode == Mode.LIVE else self.test_archived_id
        return archived is not None and archived == self.stripe_id(mode)


def one_of(column: str, *words: str) -> str:
    """Return the SQL of a check constraint that limits a column to these values."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"
