"""A saved card as it may be shown, and the columns that hold one."""

from dataclasses import dataclass

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column


@dataclass(frozen=True)
class SavedCard:
    """A card as it may be shown."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int


class ShowsCard:
    """Columns of a table whose rows are paid by a card; all null: no card, or another method."""

    card_brand: Mapped[str | None] = mapped_column(String(30))
    card_last4: Mapped[str | None] = mapped_column(String(4))
    card_exp_month: Mapped[int | None]
    card_exp_year: Mapped[int | None]

    @property
    def card(self) -> SavedCard | None:
        """The card, as it may be shown."""
        if not (self.card_brand and self.card_last4 and self.card_exp_month and self.card_exp_year):
            return None
        return SavedCard(self.card_brand, self.card_last4, self.card_exp_month, self.card_exp_year)
