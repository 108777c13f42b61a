"""Products, prices and meters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Self

from portal import money
from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of


@dataclass(frozen=True)
class Product:
    """A product at Stripe."""

    id: str
    name: str
    active: bool

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/products."""
        return cls(data["id"], data.get("name") or "", bool(data.get("active")))


@dataclass(frozen=True)
class Tier:
    """One tier of a price, in minor units. `up_to` is None for the last."""

    up_to: int | None
    unit: Decimal
    flat: Decimal

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an element of price.tiers, which Stripe sends on request."""
        unit, flat = data.get("unit_amount_decimal"), data.get("flat_amount_decimal")
        return cls(data.get("up_to"), Decimal(str(unit or 0)), Decimal(str(flat or 0)))


@dataclass(frozen=True)
class Option:
    """A price's amounts in one of its currencies, as those of a Price."""

    amount: int | None
    unit_amount: Decimal | None
    tiers: tuple[Tier, ...] = ()

    @classmethod
    def read(cls, data: Json, package: int) -> Self:
        """Read an element of price.currency_options."""
        tiers = tuple(Tier.read(one) for one in data.get("tiers") or [])
        return cls(data.get("unit_amount"), _unit_amount(data, package), tiers)


@dataclass(frozen=True)
class Price:
    """A price at Stripe. `interval` is None for a one-time price; `amount` is None if tiers decide it.

    `unit_amount` is the exact price of one unit, in minor units. Metered prices can be a fraction of a cent. A
    price by package is for `package` units each, and `rounds_up` says whether an incomplete package counts.
    `tiers` are empty unless they were expanded, and so are `options`: its amounts in all of its currencies.
    """

    id: str
    product: str
    product_name: str  # empty unless the product was expanded
    active: bool  # and its product, if that was expanded
    amount: int | None
    unit_amount: Decimal | None
    currency: str
    interval: str | None
    interval_count: int
    metered: bool
    lookup_key: str | None
    tier: str | None
    package: int = 1
    rounds_up: bool = True
    tiers_mode: str | None = None  # graduated, volume; None: not in tiers
    tiers: tuple[Tier, ...] = ()
    product_description: str = ""  # empty unless the product was expanded
    options: Mapping[str, Option] = field(default_factory=dict)

    def within(self, currency: str | None) -> Self | None:
        """Return the price as it is in a currency; None if it has no such, or `options` were not expanded.

        https://docs.stripe.com/products-prices/manage-prices
        """
        if currency is None or currency == self.currency:
            return self
        found = self.options.get(currency)
        if found is None:
            return None
        return replace(
            self, currency=currency, amount=found.amount, unit_amount=found.unit_amount, tiers=found.tiers
        )

    def cost(self, quantity: int) -> int | None:
        """Return the list price of a quantity, before discounts and taxes, in minor units.

        None for usage, and for tiers that were not expanded. What is charged depends on more: ask for a preview.

        https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing
        https://docs.stripe.com/billing/subscriptions/usage-based/transform-quantities
        """
        if self.metered or (self.tiers_mode and not self.tiers):
            return None
        if self.tiers_mode == "volume":
            found = next((one for one in self.tiers if one.up_to is None or quantity <= one.up_to), self.tiers[-1])
            return money.round_half_up(found.flat + found.unit * quantity)
        if self.tiers_mode:
            return self._graduated(quantity)
        if self.unit_amount is None:
            return None
        return money.round_half_up(self.unit_amount * self.package * self.packages(quantity))

    def packages(self, quantity: int) -> int:
        """Return how often `unit_amount` × `package` is charged for a quantity."""
        rounding = ROUND_CEILING if self.rounds_up else ROUND_FLOOR
        return int((Decimal(quantity) / self.package).to_integral_value(rounding))

    def _graduated(self, quantity: int) -> int:
        total, below = 0, 0
        for number, tier in enumerate(self.tiers):
            if number and quantity <= below:
                break
            top = quantity if tier.up_to is None else min(quantity, tier.up_to)
            total += money.round_half_up(tier.flat + tier.unit * (top - below))
            below = top
        return total

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/prices, or a price inside another object."""
        by_package = data.get("transform_quantity") or {}
        package = by_package.get("divide_by") or 1
        product, recurring = data["product"], data.get("recurring") or {}
        return cls(
            id=data["id"],
            product=id_of(product) or "",
            product_name=product.get("name", "") if isinstance(product, dict) else "",
            active=bool(data.get("active"))
            and (not isinstance(product, dict) or bool(product.get("active", True))),
            amount=data.get("unit_amount"),
            unit_amount=_unit_amount(data, package),
            currency=data["currency"],
            interval=recurring.get("interval"),
            interval_count=recurring.get("interval_count") or 1,
            metered=recurring.get("usage_type") == "metered",
            lookup_key=data.get("lookup_key"),
            tier=(data.get("metadata") or {}).get("tier") or None,
            package=package,
            rounds_up=by_package.get("round") != "down",
            tiers_mode=data.get("tiers_mode") if data.get("billing_scheme") == "tiered" else None,
            tiers=tuple(Tier.read(one) for one in data.get("tiers") or []),
            product_description=(product.get("description") or "") if isinstance(product, dict) else "",
            options={
                name: Option.read(one, package) for name, one in (data.get("currency_options") or {}).items()
            },
        )


def _unit_amount(data: Json, package: int) -> Decimal | None:
    """Return the price of one unit. Stripe can count in packages ("per 1,000"), and then names the package's
    price.
    """
    exact = data.get("unit_amount_decimal")
    return None if exact is None else Decimal(str(exact)) / package


class ProductCalls(Calls):
    """The calls for products, prices and meters."""

    def price(self, price_id: str) -> Price:
        """Fetch the price, with its product's name, its tiers, and its amounts in other currencies."""
        expand = ["product", "tiers", "currency_options"]
        return Price.read(self._ask("get", f"/v1/prices/{part(price_id)}", {"expand": expand}))

    def prices_by_lookup_key(self, lookup_keys: list[str]) -> list[Price]:
        """List the active prices with one of these lookup keys (Stripe accepts ten at a time)."""
        chunks = [lookup_keys[start : start + 10] for start in range(0, len(lookup_keys), 10)]
        return [
            Price.read(data)
            for chunk in chunks
            for data in self._list("/v1/prices", {"lookup_keys": chunk, "active": True, "limit": PAGE})
        ]

    def product(self, product_id: str) -> Product:
        """Fetch the product."""
        return Product.read(self._ask("get", f"/v1/products/{part(product_id)}"))

    def create_product(self, params: Params, idempotency_key: str) -> Product:
        """Call POST /v1/products."""
        return Product.read(self._ask("post", "/v1/products", params, idempotency_key))

    def create_price(self, params: Params, idempotency_key: str) -> Price:
        """Call POST /v1/prices."""
        return Price.read(self._ask("post", "/v1/prices", params, idempotency_key))

    def meters(self) -> dict[str, str]:
        """Return the active meters: event name → id."""
        listed = self._list("/v1/billing/meters", {"status": "active", "limit": PAGE})
        return {meter["event_name"]: meter["id"] for meter in listed}

    def create_meter(self, params: Params, idempotency_key: str) -> str:
        """Call POST /v1/billing/meters and return the id."""
        return str(self._ask("post", "/v1/billing/meters", params, idempotency_key)["id"])
