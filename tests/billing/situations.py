"""Situations of a subscription that differ in prices, discounts and taxes, each with the next two charges."""

from collections.abc import Callable
from typing import Any

from tests.support.clocked import Clocked

PRO, STARTER = 4999, 1999
DAY = 86400
Sums = list[int | None]  # of the next two charges; None: nothing is charged any more


def price(carol: Clocked, name: str = "Support", **terms: Any) -> str:
    """A product of its own, with a monthly price."""
    product = carol.stripe.products.create({"name": name}).id
    given = {"product": product, "currency": "usd", "recurring": {"interval": "month"}} | terms
    return str(carol.stripe.prices.create(given).id)


def catalogue(carol: Clocked, lookup_key: str) -> str:
    return str(carol.stripe.prices.list({"lookup_keys": [lookup_key]}).data[0].id)


def change(carol: Clocked, subscription: str, **changes: Any) -> None:
    carol.stripe.subscriptions.update(subscription, changes)
    carol.settle()


def item_of(carol: Clocked, subscription: str) -> str:
    return str(carol.stripe.subscriptions.retrieve(subscription)["items"]["data"][0].id)


def coupon(carol: Clocked, **terms: Any) -> list[dict[str, str]]:
    return [{"coupon": carol.stripe.coupons.create({"duration": "forever"} | terms).id}]


def tax(carol: Clocked, percentage: float, *, inclusive: bool = False) -> str:
    given = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    return str(carol.stripe.tax_rates.create(given).id)


def half_up(top: int, bottom: int) -> int:
    return (2 * top + bottom) // (2 * bottom)


def plain(carol: Clocked) -> Sums:
    carol.subscribe()
    return [PRO, PRO]


def five_seats(carol: Clocked) -> Sums:
    """Four more from the first second: their whole period, and five from then on."""
    made = carol.subscribe()
    change(carol, made, items=[{"id": item_of(carol, made), "quantity": 5}])
    return [5 * PRO + 4 * PRO, 5 * PRO]


def seats_within_the_period(carol: Clocked) -> Sums:
    """Two more with 14 of 28 days left: half of each, rounded once on each line."""
    made = carol.subscribe()
    carol.advance(days=14)
    change(carol, made, items=[{"id": item_of(carol, made), "quantity": 3}])
    return [3 * PRO + half_up(3 * PRO, 2) - half_up(PRO, 2), 3 * PRO]


def an_add_on(carol: Clocked) -> Sums:
    made = carol.subscribe()
    change(carol, made, items=[{"price": price(carol, unit_amount=1000), "quantity": 2}])
    return [PRO + 2000 + 2000, PRO + 2000]


def a_pending_item(carol: Clocked) -> Sums:
    carol.subscribe()
    item = {"customer": carol.stripe_customer, "amount": 1500, "currency": "usd", "description": "Set-up"}
    carol.stripe.invoice_items.create(item)
    carol.settle()
    return [PRO + 1500, PRO]


def a_smaller_plan(carol: Clocked) -> Sums:
    """The credit for all of Pro pays Starter's first period, then the next, and the rest the one after that."""
    made = carol.subscribe()
    new = {"id": item_of(carol, made), "price": catalogue(carol, "starter_monthly")}
    change(carol, made, items=[new])
    left = PRO - STARTER - STARTER
    return [0, STARTER - left]


def back_and_forth(carol: Clocked) -> Sums:
    """With an invoice at once each time: Starter's is negative, its credit pays Pro again."""
    made = carol.subscribe()
    for key in ("starter_monthly", "pro_monthly"):
        new = {"id": item_of(carol, made), "price": catalogue(carol, key)}
        change(carol, made, items=[new], proration_behavior="always_invoice")
    return [PRO, PRO]


def down_with_an_invoice(carol: Clocked) -> Sums:
    made = carol.subscribe()
    new = {"id": item_of(carol, made), "price": catalogue(carol, "starter_monthly")}
    change(carol, made, items=[new], proration_behavior="always_invoice")
    left = PRO - STARTER
    return [0, STARTER - (left - STARTER)]


def in_tiers(mode: str, quantity: int) -> Callable[[Clocked], Sums]:
    """Ten at $7.00, then $5.00 and a flat $20.00."""

    def build(carol: Clocked) -> Sums:
        steps = [
            {"up_to": 10, "unit_amount": 700},
            {"up_to": "inf", "unit_amount": 500, "flat_amount": 2000},
        ]
        tiered = price(carol, billing_scheme="tiered", tiers_mode=mode, tiers=steps)
        carol.subscribe(items=[{"price": tiered, "quantity": quantity}])
        beyond = max(0, quantity - 10)
        if mode == "volume":
            due = quantity * 500 + 2000 if beyond else quantity * 700
        else:
            due = min(quantity, 10) * 700 + (beyond * 500 + 2000 if beyond else 0)
        return [due, due]

    return build


def in_packages(rounded: str, due: int) -> Callable[[Clocked], Sums]:
    """95 units at $5.00 for each ten."""

    def build(carol: Clocked) -> Sums:
        by_ten = price(carol, unit_amount=500, transform_quantity={"divide_by": 10, "round": rounded})
        carol.subscribe(items=[{"price": by_ten, "quantity": 95}])
        return [due, due]

    return build


def fractions_of_a_cent(carol: Clocked) -> Sums:
    """12,345 at half a cent: $61.725, rounded half up."""
    carol.subscribe(items=[{"price": price(carol, unit_amount_decimal="0.5"), "quantity": 12345}])
    return [6173, 6173]


def no_seats(carol: Clocked) -> Sums:
    made = carol.subscribe()
    new = {"id": item_of(carol, made), "quantity": 0}
    change(carol, made, items=[new], proration_behavior="none")
    return [0, 0]


def a_fifth_off_and_a_tax(carol: Clocked) -> Sums:
    """20 % of 4999 is 999.8; 10 % of the other 3999 is 399.9."""
    carol.subscribe(discounts=coupon(carol, percent_off=20), default_tax_rates=[tax(carol, 10)])
    return [3999 + 400, 3999 + 400]


def a_tax_inside(carol: Clocked) -> Sums:
    carol.subscribe(default_tax_rates=[tax(carol, 19, inclusive=True)])
    return [PRO, PRO]


def a_tax_of_one_item(carol: Clocked) -> Sums:
    """10 % of the add-on alone."""
    support = {"price": price(carol, unit_amount=1000), "tax_rates": [tax(carol, 10)]}
    carol.subscribe(items=[{"price": catalogue(carol, "pro_monthly")}, support])
    return [PRO + 1100, PRO + 1100]


def a_discount_that_ends(carol: Clocked) -> Sums:
    """Half for two months, the first of which has begun: 50 % of 4999 is 2499.5."""
    carol.subscribe(discounts=coupon(carol, percent_off=50, duration="repeating", duration_in_months=2))
    return [PRO - 2500, PRO]


def a_discount_once(carol: Clocked) -> Sums:
    made = carol.subscribe()
    change(carol, made, discounts=coupon(carol, amount_off=1000, currency="usd", duration="once"))
    return [PRO - 1000, PRO]


def two_discounts(carol: Clocked) -> Sums:
    """One after the other: $10.00 off, then 10 % of the other $39.99."""
    first = coupon(carol, amount_off=1000, currency="usd", duration="repeating", duration_in_months=12)
    carol.subscribe(discounts=first + coupon(carol, percent_off=10))
    return [3999 - 400, 3999 - 400]


def a_discount_of_one_product(carol: Clocked) -> Sums:
    """Half of the add-on alone."""
    support = price(carol, unit_amount=1000)
    product = carol.stripe.prices.retrieve(support).product
    half = coupon(carol, percent_off=50, applies_to={"products": [product]})
    items = [{"price": catalogue(carol, "pro_monthly")}, {"price": support, "quantity": 2}]
    carol.subscribe(items=items, discounts=half)
    return [PRO + 1000, PRO + 1000]
