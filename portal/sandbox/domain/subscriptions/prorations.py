"""Prorations: the cost of the rest of a period after a change."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import invoice_items
from portal.sandbox.domain.pricing import amounts, currencies, discount_amounts, discounts, tiers
from portal.sandbox.domain.subscriptions import subscription_items

Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A planned change: the items, the fields to write, what to prorate and what to bill immediately.

    bills: whether an invoice is due now · periods: the items whose new period is on it.
    """

    before: list[Json]
    after: list[Json]
    fields: Json
    prorates: bool
    bills: bool
    periods: list[Json]


def prorate(account: Account, subscription: Json, plan: Plan, moment: int | None = None) -> None:
    """Credit the old items' unused time and charge the new items' remaining time, as of a time (default: now).

    An item that begins a new period is charged in full on the invoice itself.
    """
    if not plan.prorates:
        return
    old, new = {i["id"]: i for i in plan.before}, {i["id"]: i for i in plan.after}
    charged = {} if plan.periods else new
    for id_ in [*old, *(id_ for id_ in new if id_ not in old)]:
        if terms(old.get(id_)) == terms(new.get(id_)):
            continue
        for items, sign in ((old, -1), (charged, 1)):
            if id_ in items:
                add_part(account, subscription, items[id_], sign, moment or account.now())


def terms(item: Json | None) -> Json | None:
    """Return the terms of an item whose change is prorated: its cost before discounts and taxes."""
    kept = ("billing_thresholds", "metadata", "tax_rates", "discounts")
    return item and {name: value for name, value in item.items() if name not in kept}


def add_part(account: Account, subscription: Json, item: Json, sign: int, moment: int) -> None:
    """Add an invoice item for the rest of an item's period; usage is never prorated."""
    if item["price"]["recurring"]["usage_type"] == "metered":
        return
    customer = account.find("customer", subscription["customer"])
    owed = part_of_period(account, subscription, item, sign, moment)
    price = currencies.within(item["price"], subscription["currency"])
    invoice_items.add(account, customer, price, item["quantity"], owed)


def full_price(account: Account, subscription: Json, item: Json, credit: bool) -> Decimal:
    """Return an item's whole period after discounts: what was paid for it, or what it costs now."""
    paid = item.get("_", {}).get("net")
    if credit and paid is not None:
        return Decimal(paid)
    currency = subscription["currency"]
    exact = tiers.exact(currencies.within(item["price"], currency), item["quantity"])
    ids = [*discounts.running(account, item["discounts"]), *discounts.of_subscription(account, subscription)]
    if not ids:
        return exact
    return Decimal(discount_amounts.net(account, ids, item, discount_amounts.half_up(exact), currency))


def part_of_period(account: Account, subscription: Json, item: Json, sign: int, moment: int) -> Json:
    """Return the value of the rest of an item's period, as the fields of an invoice item."""
    credit = sign < 0
    whole = subscription_items.share(item) if credit and "net" in item.get("_", {}) else Decimal(1)
    left = subscription_items.share(item, moment) / (whole or 1)
    exact = full_price(account, subscription, item, credit) * left
    named = {"subscription": subscription["id"], "subscription_item": item["id"]}
    words = f"{'Remaining' if sign > 0 else 'Unused'} time on {amounts.counted(account, item)}"
    return {
        "amount": sign * int(exact.quantize(Decimal(1), ROUND_HALF_UP)),
        "description": f"{words} after {amounts.day(moment)}",
        "discountable": False,
        "parent": {"type": "subscription_details", "subscription_details": named},
        "period": {"start": moment, "end": item["current_period_end"]},
        "proration": True,
        "tax_rates": item["tax_rates"],
    }
