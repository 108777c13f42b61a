"""What the billing page says of each field that changes whether, how much or how is charged.

docs/stripe-objects.md lists the fields. Each case changes one at Stripe, as the Dashboard does.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from portal import gateway
from portal.billing.upcoming import terms
from portal.models import StripeCustomer, Subscription
from tests.conftest import Person
from tests.support.looking import one
from tests.support.world import World

LATER = 4070908800  # 2099-01-01


class Bob:
    """Bob's plan, as the Dashboard sees it."""

    def __init__(self, here: World) -> None:
        self.here, self.api = here, here.stripe().v1
        self.customer = one(here, select(StripeCustomer.stripe_id))
        self.subscription = one(here, select(Subscription.stripe_id))

    def update(self, **changes: Any) -> None:
        self.api.subscriptions.update(self.subscription, changes)

    @property
    def item(self) -> str:
        return str(self.api.subscriptions.retrieve(self.subscription)["items"].data[0].id)

    def coupon(self, **terms: Any) -> list[dict[str, str]]:
        return [{"coupon": self.api.coupons.create({"duration": "forever", "name": "Friends"} | terms).id}]

    def price(self, **terms: Any) -> str:
        product = self.api.products.create({"name": "Support"}).id
        given = {"product": product, "currency": "usd", "recurring": {"interval": "month"}} | terms
        return str(self.api.prices.create(given).id)


def sent_invoices(bob: Bob) -> None:
    bob.update(collection_method="send_invoice", days_until_due=14)


def paused_as_drafts(bob: Bob) -> None:
    bob.update(pause_collection={"behavior": "keep_as_draft"})


def paused_until(bob: Bob) -> None:
    bob.update(pause_collection={"behavior": "void", "resumes_at": LATER})


def a_threshold(bob: Bob) -> None:
    bob.update(billing_thresholds={"amount_gte": 50000})


def a_description(bob: Bob) -> None:
    bob.update(description="As agreed with Carol")


def an_end(bob: Bob) -> None:
    bob.update(cancel_at=LATER, proration_behavior="none")


def a_discount(bob: Bob) -> None:
    bob.update(discounts=bob.coupon(percent_off=20))


def a_discount_of_an_item(bob: Bob) -> None:
    bob.update(
        items=[
            {
                "id": bob.item,
                "discounts": bob.coupon(
                    amount_off=500, currency="usd", duration="repeating", duration_in_months=6
                ),
            }
        ]
    )


def a_discount_of_the_customer(bob: Bob) -> None:
    [named] = bob.coupon(percent_off=10)
    before = {"stripe_version": "2024-06-20"}  # later versions have no parameter for it
    bob.api.customers.update(bob.customer, {"coupon": named["coupon"]}, before)


def a_tax_rate(bob: Bob) -> None:
    rate = bob.api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False}).id
    bob.update(default_tax_rates=[rate])


def a_credit(bob: Bob) -> None:
    bob.api.customers.update(bob.customer, {"balance": -1500})


def a_debt(bob: Bob) -> None:
    bob.api.customers.update(bob.customer, {"balance": 700})


def an_add_on_in_tiers(bob: Bob) -> None:
    steps = [{"up_to": 10, "unit_amount": 700}, {"up_to": "inf", "unit_amount": 500}]
    tiered = bob.price(billing_scheme="tiered", tiers_mode="volume", tiers=steps)
    bob.update(items=[{"price": tiered, "quantity": 3}])


def incomplete_made_elsewhere(bob: Bob) -> None:
    terms = {"payment_behavior": "default_incomplete", "items": [{"price": bob.price(unit_amount=900)}]}
    bob.api.subscriptions.create({"customer": bob.customer, **terms})


def an_open_invoice_made_by_hand(bob: Bob) -> None:
    terms = {"collection_method": "send_invoice", "days_until_due": 14, "description": "Training in May"}
    draft = bob.api.invoices.create({"customer": bob.customer, **terms})
    line = {"customer": bob.customer, "invoice": draft.id, "amount": 12000, "currency": "usd"}
    bob.api.invoice_items.create(line)
    bob.api.invoices.finalize_invoice(draft.id)


CASES: list[tuple[Callable[[Bob], None], list[str]]] = [
    (
        sent_invoices,
        ["Invoices are sent to you by email and are due within 14 days. Nothing is charged automatically."],
    ),
    (
        paused_as_drafts,
        ["Payments are paused. Invoices of this time are kept as drafts and may be charged later."],
    ),
    (paused_until, ["Payments are paused until 1 January 2099.", "are not charged."]),
    (a_threshold, ["When the amount of a period reaches $500.00, it is charged then"]),
    (a_description, ["As agreed with Carol"]),
    (an_end, ["ends on 1 January 2099", "Resume plan"]),
    (a_discount, ["20% off (Friends).", "Discount: −$10.00", "$39.99"]),
    (a_discount_of_an_item, ["$5.00 off (Friends) until", "$44.99"]),
    (a_discount_of_the_customer, ["10% off (Friends).", "$44.99"]),
    (a_tax_rate, ["Tax: $5.00", "$54.99"]),
    (a_credit, ["Credit balance $15.00", "pays your next invoices first", "From your balance: −$15.00"]),
    (a_debt, ["Owed balance $7.00", "added to your next invoice", "$56.99"]),
    (an_add_on_in_tiers, ["Support: $21.00 a month for 3 (volume pricing)"]),
    (incomplete_made_elsewhere, ["Waiting for the first payment to be confirmed.", "Support", "Pay now"]),
    (an_open_invoice_made_by_hand, ["Training in May", "Due by", "$120.00", "Pay now"]),
]


@pytest.mark.parametrize(("happens", "words"), CASES, ids=[happens.__name__ for happens, _ in CASES])
def test_the_page_has_words_for_it(
    here: World, bob: Person, happens: Callable[[Bob], None], words: list[str]
) -> None:
    happens(Bob(here))
    here.flush()
    bob.browser.open("/billing")
    for one_of in words:
        assert one_of in bob.browser.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"pending_invoice_item_interval": {"interval": "week", "interval_count": 1}},
            "What is added to it is charged weekly, not with the renewal.",
        ),
        (
            {"presentment_details": {"presentment_currency": "eur"}},
            "You pay in EUR at Stripe's exchange rate of the day. Amounts here are in USD.",
        ),
        (
            {"items": {"data": [{"billing_thresholds": {"usage_gte": 5000}}]}},
            "When usage reaches 5,000 units, it is charged then, before the period ends.",
        ),
    ],
)
def test_fields_of_stripe_alone_have_words(here: World, bob: Person, fields: dict[str, Any], words: str) -> None:
    """The sandbox does not set these fields, so they are added to what it says."""
    made = Bob(here)
    params = {"expand": ["items.data.price.product"]}
    data = made.api.subscriptions.retrieve(made.subscription, params).to_dict()
    items = data["items"]["data"]
    for item, more in zip(items, fields.get("items", {}).get("data", ()), strict=False):
        item |= more
    facts = gateway.Subscription.read(data | fields | {"items": {"data": items}})
    with here.app.test_request_context():
        assert words in terms.notes(Subscription(terms=terms.of(facts), currency="usd"))
