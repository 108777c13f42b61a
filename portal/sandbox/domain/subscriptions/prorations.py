"""Prorations: what is owed for the rest of a period after a change."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import invoice_items
from portal.sandbox.domain.pricing import amounts, discounts, tiers

Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A change before it is made: the items, the fields to write, what to prorate and what to bill at once.

    bills: whether an invoice is due now · periods: the items whose new period is on it.
    """

    before: list[Json]
    after: list[Json]
    fields: Json
    prorates: bool
    bills: bool
    periods: list[Json]


def prorate(account: Account, subscription: Json, plan: Plan, moment: int | None = None) -> None:
    """Credit the unused time of what was, charge the remaining time of what is, as of a moment (default: now).

    An item that begins a new period is charged for all of it on the invoice itself.
    """
    if not plan.prorates:
        return
    old, new = {i["id"]: i for i in plan.before}, {i["id"]: i for i in plan.after}
    charged = {} if plan.periods else new
    for id_ in [*old, *(id_ for id_ in new if id_ not in old)]:
        if old.get(id_) == new.get(id_):
            continue
        for items, sign in ((old, -1), (charged, 1)):
            if id_ in items:
                add_part(account, subscription, items[id_], sign, moment or account.now())


def add_part(account: Account, subscription: Json, item: Json, sign: int, moment: int) -> None:
    """An invoice item for the rest of an item's period; usage is billed as it was, never in parts."""
    if item["price"]["recurring"]["usage_type"] == "metered":
        return
    customer = account.find("customer", subscription["customer"])
    owed = part_of_period(account, subscription, item, sign, moment)
    invoice_items.add(account, customer, item["price"], item["quantity"], owed)


def full_price(account: Account, subscription: Json, item: Json, credit: bool) -> Decimal:
    """An item's whole period after discounts: what was paid for it, or what it costs now."""
    paid = item.get("_", {}).get("net")
    if credit and paid is not None:
        return Decimal(paid)
    exact = tiers.exact(item["price"], item["quantity"])
    if not subscription["discounts"]:
        return exact
    return Decimal(discounts.net(account, subscription, item, discounts.half_up(exact)))


def part_of_period(account: Account, subscription: Json, item: Json, sign: int, moment: int) -> Json:
    """What the rest of an item's period is worth, as the fields of an invoice item."""
    start, end = item["current_period_start"], item["current_period_end"]
    left = Decimal(max(0, end - max(moment, start))) / max(1, end - start)
    exact = full_price(account, subscription, item, credit=sign < 0) * left
    named = {"subscription": subscription["id"], "subscription_item": item["id"]}
    words = f"{'Remaining' if sign > 0 else 'Unused'} time on {amounts.counted(account, item)}"
    return {
        "amount": sign * int(exact.quantize(Decimal(1), ROUND_HALF_UP)),
        "description": f"{words} after {amounts.day(moment)}",
        "discountable": False,
        "parent": {"type": "subscription_details", "subscription_details": named},
        "period": {"start": moment, "end": end},
        "proration": True,
    }
