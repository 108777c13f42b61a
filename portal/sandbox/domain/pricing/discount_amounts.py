"""What discounts take off: those of single items first, then those of the whole invoice.

https://docs.stripe.com/billing/subscriptions/coupons
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]


def half_up(exact: Decimal) -> int:
    """Return whole minor units."""
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def amounts_off(coupon: Json) -> dict[str, int]:
    """Return the fixed discounts of a coupon, by currency."""
    others = {name: one["amount_off"] for name, one in (coupon["_"].get("currency_options") or {}).items()}
    return {coupon["currency"]: coupon["amount_off"]} | others


def coupons_of(account: Account, ids: list[str]) -> list[Json]:
    """Return the coupons of discounts."""
    found = [account.find("discount", id_) for id_ in ids]
    return [account.find("coupon", one["source"]["coupon"]) for one in found]


def taken(coupons: list[Json], amounts: list[tuple[int, str | None]], currency: str) -> list[list[int]]:
    """Return what each coupon, in order, subtracts from each amount (minor units, with its product)."""
    left = [amount for amount, _ in amounts]
    table = []
    for coupon in coupons:
        products = coupon["_"].get("products")
        fits = [a > 0 and (not products or p in products) for a, (_, p) in zip(left, amounts, strict=True)]
        off = spread(coupon, currency, [a if fit else 0 for a, fit in zip(left, fits, strict=True)])
        left = [amount - part for amount, part in zip(left, off, strict=True)]
        table.append(off)
    return table


def spread(coupon: Json, currency: str, amounts: list[int]) -> list[int]:
    """Return one coupon's share of each amount; a fixed sum is divided in proportion, to the last cent."""
    if coupon["percent_off"] is not None:
        rate = Decimal(str(coupon["percent_off"])) / 100
        return [half_up(amount * rate) for amount in amounts]
    total = sum(amounts)
    rest = min(amounts_off(coupon).get(currency, 0), total)
    shares = []
    for amount in amounts:
        share = half_up(Decimal(rest) * amount / total) if total else 0
        shares.append(share)
        rest, total = rest - share, total - amount
    return shares


def on_invoice(account: Account, invoice: Json) -> int:
    """Write an invoice's discounts into its lines, and return their sum."""
    lines, currency = invoice["lines"]["data"], invoice["currency"]
    for ids, same in by_discounts(lines):
        write(account, ids, same, currency)
    write(account, invoice["discounts"], lines, currency)
    sums = dict.fromkeys([*invoice["discounts"], *(id_ for line in lines for id_ in line["discounts"])], 0)
    for part in (part for line in lines for part in line["discount_amounts"]):
        sums[part["discount"]] += part["amount"]
    invoice["total_discount_amounts"] = [{"amount": amount, "discount": id_} for id_, amount in sums.items()]
    return sum(sums.values())


def by_discounts(lines: list[Json]) -> list[tuple[list[str], list[Json]]]:
    """Return the lines that have discounts of their own, together if they share them (the tiers of an item)."""
    groups: dict[tuple[str, ...], list[Json]] = {}
    for line in lines:
        line["discount_amounts"] = []
        if line["discounts"]:
            groups.setdefault(tuple(line["discounts"]), []).append(line)
    return [(list(ids), same) for ids, same in groups.items()]


def write(account: Account, ids: list[str], lines: list[Json], currency: str) -> None:
    """Add what these discounts take off to each line."""
    amounts = [(left(line), product_of(line)) for line in lines]
    table = taken(coupons_of(account, ids), amounts, currency)
    for place, line in enumerate(lines):
        parts = [(id_, off[place]) for id_, off in zip(ids, table, strict=True)]
        line["discount_amounts"] += [{"amount": amount, "discount": id_} for id_, amount in parts if amount]


def left(line: Json) -> int:
    """Return what is left of a line to take off from."""
    off = sum(part["amount"] for part in line["discount_amounts"])
    return int(line["amount"] - off) if line["discountable"] else 0


def product_of(line: Json) -> str | None:
    """Return the product that a line bills, if it has a price."""
    details = (line["pricing"] or {}).get("price_details") or {}
    product: str | None = details.get("product")
    return product


def net(account: Account, ids: list[str], item: Json, amount: int, currency: str) -> int:
    """Return the cost of a full period of an item with these discounts, its own first."""
    table = taken(coupons_of(account, ids), [(amount, item["price"]["product"])], currency)
    return amount - sum(off[0] for off in table)
