"""The items of a subscription, as our copy stores them: what it charges for, beside and including the plan."""

from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Self


@dataclass(frozen=True)
class SubscriptionPart:
    """One item, at its list price, before discounts and taxes. Amounts are in minor units of `currency`.

    `amount` is for all of `quantity` in a period; None if only Stripe knows it, for usage. `unit` is the exact
    price of one package of `package` units; None if tiers decide.
    """

    price_id: str
    product_id: str
    name: str
    quantity: int
    amount: int | None
    unit: str | None
    currency: str
    interval: str
    interval_count: int = 1
    package: int = 1
    packages: int = 1  # that the quantity comes to
    in_tiers: bool = False
    metered: bool = False
    is_plan: bool = False  # it decides the tier

    @property
    def cycle(self) -> tuple[str, int]:
        """Return how often it is charged."""
        return self.interval, self.interval_count

    @property
    def unit_price(self) -> Decimal | None:
        """Return the exact price of one package, in minor units."""
        return None if self.unit is None else Decimal(self.unit)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Read a part from its JSON."""
        return cls(**data)

    def written(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def deciding(self) -> Self:
        """Return it as the part that decides the tier."""
        return replace(self, is_plan=True)
