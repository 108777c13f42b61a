"""What the portal reads of a subscription: as it is, what is scheduled for it, and what a change would cost."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from portal.gateway.shapes import Card, Price, id_of, time

Json = dict[str, Any]


def _attached(method: str | Json | None) -> str | Json | None:
    """A payment method that can be charged: one that was taken off its customer cannot."""
    return None if isinstance(method, dict) and not method.get("customer") else method


def _ids(listed: list[Any] | None) -> tuple[str, ...]:
    return tuple(found for one in listed or [] if (found := id_of(one)))


def _prices(items: list[Json] | None) -> tuple[str, ...]:
    return tuple(found for one in items or [] if (found := id_of(one.get("price"))))


@dataclass(frozen=True)
class SubscriptionItem:
    """One line of a subscription. `quantity` is absent for metered prices."""

    id: str
    price: Price
    quantity: int
    period_end: datetime | None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From subscription.items.data: since basil each item has a period of its own."""
        return cls(
            id=data["id"],
            price=Price.read(data["price"]),
            quantity=data.get("quantity") or 1,
            period_end=time(data.get("current_period_end")),
        )


@dataclass(frozen=True)
class Subscription:
    """A subscription. `ends_at` is set whichever way its cancellation was scheduled.

    `pending_until` is set while a change waits for its payment; `method` is what pays, where that is known.
    """

    id: str
    customer: str
    status: str
    livemode: bool
    metadata: dict[str, str]
    items: tuple[SubscriptionItem, ...]
    period_end: datetime | None  # the latest of its items'
    trial_end: datetime | None
    ends_at: datetime | None
    at_period_end: bool  # which of the two ways
    canceled_at: datetime | None  # when its end was asked for
    ended_at: datetime | None
    pending_until: datetime | None
    schedule: str | None
    latest_invoice: str | None
    created: datetime
    method: str | None
    card: Card | None
    test_clock: str | None
    discounts: tuple[str, ...] = ()  # its own, by their ids; the customer's are not among them
    default_tax_rates: tuple[str, ...] = ()
    pending_prices: tuple[str, ...] = ()  # of the items that a change waits to bring
    method_type: str | None = None  # card, sepa_debit, …; None where it is not known
    method_saved_at: datetime | None = None  # None where it is not known
    is_sent: bool = False  # whether its invoices are sent to be paid, not charged

    @property
    def is_discounted(self) -> bool:
        """Whether something is taken off its price."""
        return bool(self.discounts)

    @property
    def is_metered(self) -> bool:
        """Whether all that it sells is counted, so that it bills nothing by itself."""
        return all(item.price.metered for item in self.items)

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/subscriptions with default_payment_method and customer expanded."""
        items = tuple(SubscriptionItem.read(item) for item in data["items"]["data"])
        period_end = max((item.period_end for item in items if item.period_end), default=None)
        at_period_end = period_end if data.get("cancel_at_period_end") else None
        customer = data["customer"]
        settings = (customer.get("invoice_settings") or {}) if isinstance(customer, dict) else {}
        method = _attached(data.get("default_payment_method")) or _attached(settings.get("default_payment_method"))
        return cls(
            id=data["id"],
            customer=id_of(customer) or "",
            status=data["status"],
            livemode=data["livemode"],
            metadata=data.get("metadata") or {},
            items=items,
            period_end=period_end,
            trial_end=time(data.get("trial_end")),
            ends_at=time(data.get("cancel_at")) or at_period_end,
            at_period_end=bool(data.get("cancel_at_period_end")),
            canceled_at=time(data.get("canceled_at")),
            ended_at=time(data.get("ended_at")),
            pending_until=time((data.get("pending_update") or {}).get("expires_at")),
            schedule=id_of(data.get("schedule")),
            latest_invoice=id_of(data.get("latest_invoice")),
            created=datetime.fromtimestamp(data["created"], UTC),
            method=id_of(method),
            card=Card.read(method),
            test_clock=id_of(data.get("test_clock")),
            discounts=_ids(data.get("discounts")),
            default_tax_rates=_ids(data.get("default_tax_rates")),
            pending_prices=_prices((data.get("pending_update") or {}).get("subscription_items")),
            method_type=method.get("type") if isinstance(method, dict) else None,
            method_saved_at=time(method.get("created")) if isinstance(method, dict) else None,
            is_sent=data.get("collection_method") == "send_invoice",
        )


@dataclass(frozen=True)
class Line:
    """One line of an invoice to be; `amount` below zero is a credit."""

    description: str
    amount: int
    period_end: datetime

    @classmethod
    def read(cls, data: Json) -> Self:
        """From invoice.lines.data."""
        ends = time(data["period"]["end"])
        assert ends is not None
        return cls(data.get("description") or "", data["amount"], ends)


@dataclass(frozen=True)
class Preview:
    """An invoice as it would be. Of a `total` below zero the rest goes to the customer's balance."""

    total: int
    amount_due: int
    currency: str
    lines: tuple[Line, ...]

    @property
    def credited(self) -> int:
        """What is given back for time that was paid and will not be used."""
        return -sum(line.amount for line in self.lines if line.amount < 0)

    @property
    def period_end(self) -> datetime:
        """The end of what it pays for; what is given back was for a time of its own."""
        paid = [line for line in self.lines if line.amount >= 0] or self.lines
        return max(line.period_end for line in paid)

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/invoices/create_preview."""
        lines = tuple(Line.read(line) for line in data["lines"]["data"])
        return cls(data["total"], data["amount_due"], data["currency"], lines)


@dataclass(frozen=True)
class Phase:
    """One phase of a schedule, its items as they can be given back."""

    items: tuple[Json, ...]
    starts: datetime
    ends: datetime

    @classmethod
    def read(cls, data: Json) -> Self:
        """From subscription_schedule.phases."""
        items = tuple(_item(one) for one in data["items"])
        starts, ends = time(data["start_date"]), time(data["end_date"])
        assert starts is not None
        assert ends is not None
        return cls(items, starts, ends)


def _item(data: Json) -> Json:
    """Price and quantity, of which a metered price has none; and what it has of discounts and tax rates."""
    item = {"price": id_of(data["price"]), "quantity": data.get("quantity")}
    own = {
        "discounts": [{"discount": one["discount"]} for one in data.get("discounts") or [] if one.get("discount")],
        "tax_rates": list(_ids(data.get("tax_rates"))),
    }
    return {name: value for name, value in item.items() if value is not None} | {
        name: value for name, value in own.items() if value
    }


@dataclass(frozen=True)
class Schedule:
    """What will become of a subscription by itself; `subscription` is whose it is, or was until its release."""

    id: str
    status: str  # not_started, active, completed, released, canceled
    subscription: str | None
    phases: tuple[Phase, ...]
    coming: Phase | None  # the phase after the current one

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/subscription_schedules."""
        phases = tuple(Phase.read(phase) for phase in data["phases"])
        current = data.get("current_phase")
        now = time(current["end_date"]) if current and data["status"] == "active" else None
        return cls(
            id=data["id"],
            status=data["status"],
            subscription=id_of(data.get("subscription")) or data.get("released_subscription"),
            phases=phases,
            coming=next((phase for phase in phases if now and phase.starts >= now), None),
        )
