"""What the billing page says before Stripe charges it, in situations that the Dashboard makes.

Each expected sum is calculated here, from Stripe's documentation, and compared with the page and with Stripe.
"""

from typing import Any

import pytest
from sqlalchemy import select

from portal.models import Price, Subscription
from tests.conftest import Person, person
from tests.support.looking import one
from tests.support.world import World

PRO, STARTER = 4999, 1999


def text(amount: int) -> str:
    """$449.91 for 44991."""
    return f"${amount / 100:,.2f}"


def mine(here: World) -> Any:
    """The only subscription, as Stripe has it."""
    return here.stripe().v1.subscriptions.retrieve(one(here, select(Subscription.stripe_id)))


def priced(here: World, product: str, **terms: Any) -> str:
    """Make a product with a monthly price, as in the Dashboard; gives the price's id."""
    stripe = here.stripe().v1
    made = stripe.products.create({"name": product})
    given = {"product": made.id, "currency": "usd", "recurring": {"interval": "month"}} | terms
    return str(stripe.prices.create(given).id)


def update(here: World, **changes: Any) -> Any:
    """Change the only subscription at Stripe, and deliver the webhooks."""
    found = here.stripe().v1.subscriptions.update(mine(here).id, changes)
    here.flush()
    return found


def only_item(here: World) -> str:
    return str(mine(here)["items"]["data"][0].id)


def five_seats(here: World) -> int:
    """Five at the next renewal, and four for the whole period that has just begun."""
    update(here, items=[{"id": only_item(here), "quantity": 5}])
    return 5 * PRO + 4 * PRO


def an_add_on(here: World) -> int:
    """Two at the next renewal, and two for this period."""
    update(here, items=[{"price": priced(here, "Support", unit_amount=1000), "quantity": 2}])
    return PRO + 2 * 1000 + 2 * 1000


def a_pending_item(here: World) -> int:
    item = {"customer": str(mine(here).customer), "amount": 1500, "currency": "usd", "description": "Set-up"}
    here.stripe().v1.invoice_items.create(item)
    here.flush()
    return PRO + 1500


def a_smaller_plan(here: World) -> int:
    """The credit for Pro is larger than what Starter costs for this period and the next."""
    starter = one(here, select(Price.live_price_id).filter_by(key="starter-monthly"))
    update(here, items=[{"id": only_item(here), "price": starter}])
    return max(0, STARTER + STARTER - PRO)


def tiers(here: World) -> int:
    """Graduated: ten at $7.00, then $5.00."""
    graduated = priced(
        here,
        "Seats",
        billing_scheme="tiered",
        tiers_mode="graduated",
        tiers=[{"up_to": 10, "unit_amount": 700}, {"up_to": "inf", "unit_amount": 500}],
    )
    new = {"id": only_item(here), "price": graduated, "quantity": 12}
    update(here, items=[new], proration_behavior="none")
    return 10 * 700 + 2 * 500


def packages(here: World) -> int:
    """$5.00 for each ten, begun ones count."""
    by_ten = priced(here, "Calls", unit_amount=500, transform_quantity={"divide_by": 10, "round": "up"})
    new = {"id": only_item(here), "price": by_ten, "quantity": 95}
    update(here, items=[new], proration_behavior="none")
    return 10 * 500


def a_discount_and_a_tax(here: World) -> int:
    """A fifth less, then ten percent of the rest on top."""
    stripe = here.stripe().v1
    coupon = stripe.coupons.create({"percent_off": 20, "duration": "forever"}).id
    tax = stripe.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False}).id
    update(here, discounts=[{"coupon": coupon}], default_tax_rates=[tax])
    net = PRO - 1000  # 20 % of 4999 is 999.8
    return net + 400  # 10 % of 3999 is 399.9


def a_balance(here: World) -> int:
    here.stripe().v1.customers.update(str(mine(here).customer), {"balance": -1200})
    here.flush()
    return PRO - 1200


@pytest.mark.parametrize(
    "happens",
    [
        five_seats,
        an_add_on,
        a_pending_item,
        a_smaller_plan,
        tiers,
        packages,
        a_discount_and_a_tax,
        a_balance,
    ],
)
def test_the_next_payment_is_what_stripe_will_charge(here: World, new_bob: Person, happens: Any) -> None:
    due = happens(here)
    new_bob.browser.open("/billing")
    assert f"Next payment {text(due)} on" in new_bob.browser.text
    preview = here.stripe().v1.invoices.create_preview({"subscription": mine(here).id})
    assert preview.amount_due == due


def test_a_quote_for_another_cycle_has_its_discount_and_its_tax(here: World, bob: Person) -> None:
    a_discount_and_a_tax(here)
    bob.browser.open("/billing/change?price=pro-yearly")
    net = 47999 - 9600  # 20 % of 47999 is 9599.8
    assert f"Next payment {text(net + 3840)} on" in bob.browser.text  # 10 % of 38399 is 3839.9


def test_a_planned_cycle_has_its_discount_and_its_tax(here: World) -> None:
    bob = person(here, "bob")
    bob.browser.buy("pro-yearly")
    here.flush()
    a_discount_and_a_tax(here)
    bob.browser.open("/billing/change?price=pro-monthly")
    assert f"Next payment {text(4999 - 1000 + 400)} on" in bob.browser.text
    bob.browser.press("Confirm change")
    here.flush()
    bob.browser.open("/billing")
    assert f"Next payment {text(4999 - 1000 + 400)} on" in bob.browser.text
