"""Subscriptions and their items."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of, ids_of, time
from portal.gateway.payment_methods import Card
from portal.gateway.products import Price


def _attached(method: str | Json | None) -> str | Json | None:
    """Return a payment method if it can be charged. One that was detached from its customer cannot."""
    return None if isinstance(method, dict) and not method.get("customer") else method


def _paid_by(data: Json, customer: Json) -> Json:
    """Return the fields of a subscription about what pays for it: its own method, else its customer's."""
    settings = customer.get("invoice_settings") or {}
    method = _attached(data.get("default_payment_method")) or _attached(settings.get("default_payment_method"))
    # The id of a card or bank account in the form that older integrations save.
    source = id_of(data.get("default_source")) or id_of(customer.get("default_source"))
    return {
        "method": id_of(method) or source,
        "card": Card.read(method),
        "method_type": method.get("type") if isinstance(method, dict) else "source" if source else None,
        "method_saved_at": time(method.get("created")) if isinstance(method, dict) else None,
    }


def _terms(data: Json) -> Json:
    """Return the fields of a subscription about how, when and in which currency it is charged."""
    pause, trial = data.get("pause_collection") or {}, data.get("trial_settings") or {}
    extras = data.get("pending_invoice_item_interval")
    thresholds = [one for item in data["items"]["data"] if (one := item.get("billing_thresholds"))]
    return {
        "is_sent": data.get("collection_method") == "send_invoice",
        "days_until_due": data.get("days_until_due"),
        "collection_paused": pause.get("behavior"),
        "collection_resumes_at": time(pause.get("resumes_at")),
        "trial_without_method": (trial.get("end_behavior") or {}).get("missing_payment_method"),
        "threshold": (data.get("billing_thresholds") or {}).get("amount_gte"),
        "units_threshold": min((one["usage_gte"] for one in thresholds if one.get("usage_gte")), default=None),
        "extras_every": (extras["interval"], extras["interval_count"]) if extras else None,
        "description": data.get("description") or "",
        "currency": data.get("currency"),
        "shown_in": (data.get("presentment_details") or {}).get("presentment_currency"),
    }


def _prices(items: list[Json] | None) -> tuple[str, ...]:
    return tuple(found for one in items or [] if (found := id_of(one.get("price"))))


@dataclass(frozen=True)
class Discount:
    """A discount, with its coupon if that was expanded. It ends at `ends`; `once` is for one invoice."""

    id: str
    name: str = ""
    percent_off: Decimal | None = None
    amount_off: int | None = None
    currency: str | None = None
    ends: datetime | None = None
    once: bool = False

    def lasts(self, at: datetime) -> bool:
        """Return whether it has not ended by then."""
        return self.ends is None or self.ends > at

    @classmethod
    def read(cls, data: str | Json) -> Self:
        """Read a discount, or only its id if it is not expanded."""
        if not isinstance(data, dict):
            return cls(data)
        coupon = (data.get("source") or {}).get("coupon")
        made = coupon if isinstance(coupon, dict) else {}
        percent = made.get("percent_off")
        return cls(
            id=data["id"],
            name=made.get("name") or "",
            percent_off=None if percent is None else Decimal(str(percent)),
            amount_off=made.get("amount_off"),
            currency=made.get("currency"),
            ends=time(data.get("end")),
            once=made.get("duration") == "once",
        )

    @classmethod
    def read_all(cls, listed: list[str | Json] | None) -> tuple[Self, ...]:
        """Read a list of discounts."""
        return tuple(cls.read(one) for one in listed or [])


@dataclass(frozen=True)
class SubscriptionItem:
    """One line of a subscription. `quantity` is 1 for metered prices, which have none."""

    id: str
    price: Price
    quantity: int
    period_end: datetime | None
    period_start: datetime | None = None
    discounts: tuple[Discount, ...] = ()

    @property
    def cost(self) -> int | None:
        """Return the list price of a period, before discounts and taxes; None if only Stripe knows it."""
        return self.price.cost(self.quantity)

    @classmethod
    def read(cls, data: Json, currency: str | None = None) -> Self:
        """Read an item from subscription.items.data. Since API version basil, each item has its own period.

        Its price can have several currencies: the subscription's is what it is charged in.
        """
        price = Price.read(data["price"])
        return cls(
            id=data["id"],
            price=price.within(currency) or price,
            quantity=1 if data.get("quantity") is None else data["quantity"],
            period_end=time(data.get("current_period_end")),
            period_start=time(data.get("current_period_start")),
            discounts=Discount.read_all(data.get("discounts")),
        )


@dataclass(frozen=True)
class Subscription:
    """A subscription. `ends_at` is set whichever way its cancellation was scheduled.

    `pending_until` is set while a change waits for its payment. `method` is the payment method, if it is known.
    """

    id: str
    customer: str
    status: str
    livemode: bool
    metadata: dict[str, str]
    items: tuple[SubscriptionItem, ...]
    period_end: datetime | None  # the latest of its items' periods
    trial_end: datetime | None
    ends_at: datetime | None
    at_period_end: bool  # which of the two ways its cancellation was scheduled
    canceled_at: datetime | None  # when the cancellation was requested
    ended_at: datetime | None
    pending_until: datetime | None
    schedule: str | None
    latest_invoice: str | None
    created: datetime
    method: str | None
    card: Card | None
    test_clock: str | None
    discounts: tuple[Discount, ...] = ()  # its own, without the customer's
    customers_discount: Discount | None = None  # applies if it has none of its own
    default_tax_rates: tuple[str, ...] = ()
    has_automatic_tax: bool = False
    pending_prices: tuple[str, ...] = ()  # of the items in the pending change
    method_type: str | None = None  # card, sepa_debit, …; source: an older kind; None: nothing to charge
    method_saved_at: datetime | None = None  # None if unknown
    anchor: datetime | None = None  # whose day begins each period
    is_sent: bool = False  # whether its invoices are sent to be paid instead of charged
    days_until_due: int | None = None  # of a sent invoice
    collection_paused: str | None = None  # what happens to its invoices: keep_as_draft, mark_uncollectible, void
    collection_resumes_at: datetime | None = None
    trial_without_method: str | None = None  # what the end of a trial does then: cancel, create_invoice, pause
    threshold: int | None = None  # an amount of usage that is charged before the period ends
    description: str = ""  # for the customer
    currency: str | None = None
    shown_in: str | None = None  # the currency that the payer sees, at Stripe's exchange rate
    units_threshold: int | None = None  # of one of its items: as many units are charged at once
    extras_every: tuple[str, int] | None = None  # how often what is added to it is invoiced: interval and count

    @property
    def is_metered(self) -> bool:
        """Return whether every item is metered, so that it bills nothing in advance."""
        return all(item.price.metered for item in self.items)

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/subscriptions with default_payment_method and customer expanded."""
        items = tuple(SubscriptionItem.read(item, data.get("currency")) for item in data["items"]["data"])
        period_end = max((item.period_end for item in items if item.period_end), default=None)
        at_period_end = period_end if data.get("cancel_at_period_end") else None
        customer = data["customer"] if isinstance(data["customer"], dict) else {}
        return cls(
            id=data["id"],
            customer=id_of(data["customer"]) or "",
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
            **_paid_by(data, customer),
            test_clock=id_of(data.get("test_clock")),
            discounts=Discount.read_all(data.get("discounts")),
            customers_discount=Discount.read(customer["discount"]) if customer.get("discount") else None,
            default_tax_rates=ids_of(data.get("default_tax_rates")),
            has_automatic_tax=bool((data.get("automatic_tax") or {}).get("enabled")),
            pending_prices=_prices((data.get("pending_update") or {}).get("subscription_items")),
            anchor=time(data.get("billing_cycle_anchor")),
            **_terms(data),
        )


# What a sync needs beside the subscription itself.
EXPANDED = [
    "default_payment_method",
    "customer.invoice_settings.default_payment_method",
    "customer.discount.source.coupon",
    "discounts.source.coupon",
    "items.data.price.product",
    "items.data.price.tiers",
    "items.data.price.currency_options",
]


ITEM_DISCOUNTS = {"limit": PAGE, "expand": ["data.discounts.source.coupon"]}


class SubscriptionCalls(Calls):
    """The calls for subscriptions."""

    def subscription(self, subscription_id: str) -> Subscription:
        """Fetch the subscription, with the card that pays for it, its discounts, and the products of its items.

        Stripe expands four levels, one less than the coupons of items need, so that these are asked for apart.
        """
        params = {"expand": EXPANDED}
        data = self._ask("get", f"/v1/subscriptions/{part(subscription_id)}", params)
        if any(item.get("discounts") for item in data["items"]["data"]):
            found = self._list("/v1/subscription_items", {"subscription": data["id"]} | ITEM_DISCOUNTS)
            known = {item["id"]: item["discounts"] for item in found}
            for item in data["items"]["data"]:
                item["discounts"] = known.get(item["id"], item.get("discounts"))
        return Subscription.read(data)

    def every_subscription(self) -> Iterator[Subscription]:
        """Yield every subscription, including ended ones, newest first, without its card."""
        listed = self._list("/v1/subscriptions", {"status": "all", "limit": PAGE})
        return (Subscription.read(data) for data in listed)

    def running_subscriptions(self) -> Iterator[Subscription]:
        """Yield every subscription that has not ended, newest first, without its card."""
        return (Subscription.read(data) for data in self._list("/v1/subscriptions", {"limit": PAGE}))

    def subscriptions(self, customer: str) -> list[Subscription]:
        """List a customer's subscriptions that have not ended, newest first."""
        listed = self._list("/v1/subscriptions", {"customer": customer, "limit": PAGE})
        return [Subscription.read(data) for data in listed]

    def create_subscription(self, params: Params, idempotency_key: str) -> Subscription:
        """Call POST /v1/subscriptions."""
        return Subscription.read(self._ask("post", "/v1/subscriptions", params, idempotency_key))

    def update_subscription(self, subscription_id: str, params: Params, idempotency_key: str) -> Subscription:
        """Call POST /v1/subscriptions/{id}."""
        path = f"/v1/subscriptions/{part(subscription_id)}"
        return Subscription.read(self._ask("post", path, params, idempotency_key))

    def cancel_subscription(self, subscription_id: str, idempotency_key: str) -> Subscription:
        """Cancel a subscription immediately. Raises StripeRefused if it has already ended."""
        return Subscription.read(
            self._ask("delete", f"/v1/subscriptions/{part(subscription_id)}", {}, idempotency_key)
        )
