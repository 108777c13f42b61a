"""A saved card as it may be displayed, and the columns that hold one."""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column


@dataclass(frozen=True)
class SavedCard:
    """A card as it may be displayed."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int


def card_columns(card: object | None) -> dict[str, Any]:
    """Return the columns of ShowsCard for a card with the fields of SavedCard; without one, all are null."""
    return {f"card_{field.name}": getattr(card, field.name) if card else None for field in fields(SavedCard)}


class ShowsCard:
    """Columns of a table whose rows are paid by a card. All are null if there is no card or another payment
    method.
    """

    card_brand: Mapped[str | None] = mapped_column(String(30))
    card_last4: Mapped[str | None] = mapped_column(String(4))
    card_exp_month: Mapped[int | None]
    card_exp_year: Mapped[int | None]

    @property
    def card(self) -> SavedCard | None:
        """Return the card as it may be displayed."""
        if not (self.card_brand and self.card_last4 and self.card_exp_month and self.card_exp_year):
            return None
        return SavedCard(self.card_brand, self.card_last4, self.card_exp_month, self.card_exp_year)
