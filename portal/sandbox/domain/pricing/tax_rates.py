"""Tax rates: taxes added to an amount or contained in it.

Tax is computed for each line and rate after discounts, and rounded there, half up.
https://docs.stripe.com/billing/taxes/tax-rates
https://support.stripe.com/questions/inclusive-and-exclusive-tax-options-in-the-tax-rate-api-and-stripe-tax
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
KIND = "tax_rate"
MOST = 10  # rates that one line can have
UNTAXED = {"exempt": "customer_exempt", "reverse": "reverse_charge"}  # a customer's tax_exempt


def named(account: Account, ids: list[str] | None, at: str) -> list[Json]:
    """Return the active tax rates with these ids. Raises StripeError."""
    if len(ids or []) > MOST:
        raise StripeError(f"You can apply up to {MOST} tax rates.", param=at)
    found = [account.find(KIND, id_, f"{at}[{number}]") for number, id_ in enumerate(ids or [])]
    for rate in found:
        if not rate["active"]:
            words = f"The tax rate `{rate['id']}` is inactive. This field only accepts active tax rates."
            raise StripeError(words, param=at)
    return found


def taxes(rates: list[Json], amount: int, tax_exempt: str | None = "none") -> list[Json]:
    """Return the tax of each rate on an amount in minor units, which is negative for a credit."""
    within = sum((Decimal(str(rate["percentage"])) for rate in rates if rate["inclusive"]), Decimal(0))
    net = Decimal(amount) * 100 / (100 + within)
    reason = UNTAXED.get(tax_exempt or "none")
    made = []
    for rate in rates:
        exact = net * Decimal(str(rate["percentage"])) / 100
        made.append(
            {
                "amount": 0 if reason else half_up(exact),
                "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
                "tax_rate_details": {"tax_rate": rate["id"]},
                "taxability_reason": reason or "not_available",
                "taxable_amount": 0 if reason else half_up(net),
                "type": "tax_rate_details",
            }
        )
    return made


def half_up(exact: Decimal) -> int:
    """Return whole minor units."""
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def label(rate: Json) -> str:
    """Return a rate as it is printed: VAT - DE (19% inclusive)."""
    name = " - ".join(word for word in (rate["display_name"], rate["jurisdiction"]) if word)
    return f"{name} ({rate['percentage']:g}%{' inclusive' if rate['inclusive'] else ''})"


def shown(account: Account, found: list[Json]) -> list[tuple[str, int]]:
    """Return taxes as they are printed: each with its label and its amount in minor units."""
    rates = [account.find(KIND, one["tax_rate_details"]["tax_rate"]) for one in found]
    return [(label(rate), one["amount"]) for rate, one in zip(rates, found, strict=True)]


def added(found: list[Json]) -> int:
    """Return what taxes add to the amount that they apply to."""
    return sum(one["amount"] for one in found if one["tax_behavior"] == "exclusive")


def contained(found: list[Json]) -> int:
    """Return the tax contained in an amount."""
    return sum(one["amount"] for one in found if one["tax_behavior"] == "inclusive")


def totals(lines: list[list[Json]]) -> list[Json]:
    """Return the taxes of several lines, summed by rate in the order of first appearance."""
    sums: dict[tuple[str, str], Json] = {}
    for one in (tax for line in lines for tax in line):
        key = one["tax_rate_details"]["tax_rate"], one["taxability_reason"]
        before = sums.get(key, one | {"amount": 0, "taxable_amount": 0})
        sums[key] = before | {name: before[name] + one[name] for name in ("amount", "taxable_amount")}
    return list(sums.values())


def on_invoice(invoice: Json) -> int:
    """Write the taxes of an invoice into its lines and totals, and return what they add."""
    lines = invoice["lines"]["data"]
    exempt = invoice["customer_tax_exempt"]
    gross = 0
    for line in lines:
        rates = line.get("_", {}).get("tax_rates") or invoice["default_tax_rates"]
        off = sum(part["amount"] for part in line["discount_amounts"])
        line["taxes"] = taxes(rates, line["amount"] - off, exempt)
        gross += contained(taxes(rates, line["amount"], exempt))
    invoice["total_taxes"] = totals([line["taxes"] for line in lines])
    invoice["subtotal_excluding_tax"] = sum(line["amount"] for line in lines) - gross
    return added(invoice["total_taxes"])
