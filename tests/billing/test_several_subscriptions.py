"""What the pages say about the future, of a customer with several subscriptions, and without a card."""

from typing import Any

from sqlalchemy import select

from portal.models import StripeCustomer, Subscription
from tests.billing.test_plan_change import at_stripe
from tests.conftest import Person
from tests.support.browsing import CARD
from tests.support.looking import one
from tests.support.world import World


def another(here: World, product: str, **terms: Any) -> str:
    """Subscribe the only customer to another product of the same account, as the Dashboard does."""
    api = here.stripe().v1
    given = {"product": api.products.create({"name": product}).id, "currency": "usd", "unit_amount": 2500}
    price = api.prices.create(given | {"recurring": {"interval": "month"}})
    customer = one(here, select(StripeCustomer.stripe_id))
    made = api.subscriptions.create({"customer": customer, "items": [{"price": price.id}], **terms})
    here.flush()
    return str(made.id)


def test_to_cancel_a_plan_says_what_is_still_charged(here: World, bob: Person) -> None:
    bob.browser.open("/billing/cancel")
    assert "nothing more is charged for Pro, and you are on the Free plan" in bob.browser.text
    assert "You still pay for" not in bob.browser.text
    workshop = another(here, "Workshop")
    bob.browser.open("/billing/cancel")
    assert "nothing more is charged for Pro, and you are on the Free plan" in bob.browser.text
    assert "You still pay for Workshop." in bob.browser.text
    bob.browser.open(f"/billing/cancel?subscription={workshop}")
    assert "Cancel Workshop?" in bob.browser.text
    assert "nothing more is charged for Workshop." in bob.browser.text
    assert "You still pay for Pro." in bob.browser.text


def test_both_are_on_the_page_with_what_they_charge(here: World, bob: Person) -> None:
    another(here, "Workshop")
    bob.browser.open("/billing")
    assert "Pro" in bob.browser.text
    assert "$49.99" in bob.browser.text
    assert "Workshop" in bob.browser.text
    assert "$25.00" in bob.browser.text


def test_a_card_that_was_detached_at_stripe_is_missed(here: World, bob: Person) -> None:
    api = here.stripe().v1
    subscription = api.subscriptions.retrieve(one(here, select(Subscription.stripe_id)))
    for method in api.payment_methods.list({"customer": subscription.customer}).data:
        api.payment_methods.detach(method.id)
    here.flush()
    bob.browser.open("/billing")
    assert "No payment method is saved, so the next payment for Pro" in bob.browser.text
    assert "will fail" in bob.browser.text
    bob.browser.press("Add payment method")
    assert "/p/session" in bob.browser.page.url or here.sandbox.split(":")[-1] in bob.browser.page.url


def test_an_unpaid_invoice_that_was_given_up_can_still_be_paid(here: World, bob: Person) -> None:
    """https://docs.stripe.com/invoicing/overview#uncollectible"""
    api = here.stripe().v1
    customer = one(here, select(StripeCustomer.stripe_id))
    draft = api.invoices.create({"customer": customer, "collection_method": "send_invoice", "days_until_due": 14})
    api.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 4200, "currency": "usd"})
    invoice = api.invoices.finalize_invoice(draft.id)
    api.invoices.mark_uncollectible(invoice.id)
    here.flush()
    bob.browser.open("/billing")
    assert f"Pay invoice {invoice.number}" in bob.browser.text
    bob.browser.open(bob.browser.link(str(invoice.number)))
    assert "$42.00" in bob.browser.text


def test_an_open_invoice_is_paid_from_the_page(here: World, bob: Person) -> None:
    api = here.stripe().v1
    customer = one(here, select(StripeCustomer.stripe_id))
    draft = api.invoices.create({"customer": customer, "collection_method": "send_invoice", "days_until_due": 14})
    api.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 4200, "currency": "usd"})
    invoice = api.invoices.finalize_invoice(draft.id)
    here.flush()
    bob.browser.open("/billing")
    bob.browser.open(bob.browser.link("Pay now"))
    card = {"number": CARD, "expiration": "12 / 34", "cvc": "123", "name": "Bob", "zip": "94107"}
    bob.browser.press("Pay", **card)
    assert api.invoices.retrieve(invoice.id).status == "paid"
    here.flush()
    bob.browser.open("/billing")
    assert "Pay now" not in bob.browser.text


def test_credit_notes_and_the_balance_are_in_the_history(here: World, bob: Person) -> None:
    api = here.stripe().v1
    customer = one(here, select(StripeCustomer.stripe_id))
    [paid] = api.invoices.list({"customer": customer}).data
    api.credit_notes.create({"invoice": paid.id, "amount": 1000, "credit_amount": 1000})
    here.flush()
    draft = api.invoices.create({"customer": customer})
    api.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 2500, "currency": "usd"})
    api.invoices.finalize_invoice(draft.id)
    here.flush()
    for path in ("/history", "/billing"):
        bob.browser.open(path)
        assert "$10.00 credited" in bob.browser.text
        assert "$10.00 from your balance" in bob.browser.text


def test_balances_in_each_currency_and_changes_without_an_invoice_are_shown(here: World, bob: Person) -> None:
    stripe, customer = here.stripe().v1, str(at_stripe(here).customer)
    for amount, currency in ((-1500, "usd"), (700, "usd"), (-2000, "eur")):
        adjusted = {"amount": amount, "currency": currency, "description": "An internal note"}
        stripe.customers.balance_transactions.create(customer, adjusted)
    stripe.customers.update(customer, {"metadata": {"note": "a balance in another currency has no event"}})
    here.flush()
    bob.browser.open("/billing")
    for words in ("Credit balance $8.00", "Credit balance €20.00", "pays your next invoices first"):
        assert words in bob.browser.text
    for words in (
        "Credit to your balance $15.00",
        "Charge to your balance $7.00",
        "Credit to your balance €20.00",
    ):
        assert words in bob.browser.text
    assert "An internal note" not in bob.browser.page.text
    stripe.customers.balance_transactions.create(customer, {"amount": 800, "currency": "usd"})
    stripe.customers.balance_transactions.create(customer, {"amount": 2000, "currency": "eur"})
    stripe.customers.update(customer, {"metadata": {"note": "none is left"}})
    here.flush()
    bob.browser.open("/billing")
    assert "Credit balance" not in bob.browser.text
    for words in ("Credit to your balance $15.00", "Charge to your balance $8.00"):
        assert words in bob.browser.text


def test_a_balance_is_shown_without_a_plan(here: World, bob: Person) -> None:
    stripe, mine = here.stripe().v1, at_stripe(here)
    stripe.subscriptions.cancel(mine.id)
    stripe.customers.update(str(mine.customer), {"balance": -1500})
    here.flush()
    bob.browser.open("/billing")
    assert "Credit balance $15.00" in bob.browser.text


def test_a_negative_invoice_says_that_its_credit_is_on_the_balance(here: World, bob: Person) -> None:
    api = here.stripe().v1
    subscription = api.subscriptions.retrieve(one(here, select(Subscription.stripe_id)))
    starter = api.prices.list({"lookup_keys": ["starter_monthly"]}).data[0].id
    item = {"id": subscription["items"].data[0].id, "price": starter}
    change = {"items": [item], "proration_behavior": "always_invoice"}
    api.subscriptions.update(subscription.id, change)
    here.flush()
    credit = -api.invoices.list({"customer": subscription.customer, "limit": 1}).data[0].total
    assert 2990 <= credit <= 3000  # for the rest of the month
    for path in ("/history", "/billing"):
        bob.browser.open(path)
        assert f"−${credit / 100:.2f}" in bob.browser.text
        assert f"${credit / 100:.2f} added to your balance" in bob.browser.text
    assert f"Credit balance ${credit / 100:.2f}" in bob.browser.text
