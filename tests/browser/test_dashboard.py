"""What the Dashboard made, with a browser: seats, two subscriptions, an open invoice, a link with a fee."""

import re
from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal.models import StripeCustomer, Subscription
from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.looking import one
from tests.support.world import World

PAY = re.compile("Pay now.*Training in May")


def billing(here: World, browse: Browse, bob: Person) -> Page:
    """Bob's billing page."""
    here.flush()
    window = browse()
    window.context.add_cookies(cookies(here, bob))
    window.page.goto(f"{here.base}/billing")
    return window.page


def priced(here: World, product: str, amount: int, **terms: Any) -> str:
    api = here.stripe().v1
    made = api.products.create({"name": product}).id
    return str(api.prices.create({"product": made, "currency": "usd", "unit_amount": amount, **terms}).id)


def test_seats_are_on_the_page_and_in_the_next_payment(here: World, browse: Browse, bob: Person) -> None:
    api = here.stripe().v1
    mine = api.subscriptions.retrieve(one(here, select(Subscription.stripe_id)))
    seats = [{"id": mine["items"].data[0].id, "quantity": 5}]
    api.subscriptions.update(mine.id, {"items": seats, "proration_behavior": "none"})
    page = billing(here, browse, bob)
    expect(page.get_by_text("5 × $49.99", exact=True)).to_be_visible()
    expect(page.get_by_text("$249.95").first).to_be_visible()


def test_two_subscriptions_are_told_apart_and_one_is_cancelled(here: World, browse: Browse, bob: Person) -> None:
    price = priced(here, "Workshop", 2500, recurring={"interval": "month"})
    customer = one(here, select(StripeCustomer.stripe_id))
    here.stripe().v1.subscriptions.create({"customer": customer, "items": [{"price": price}]})
    page = billing(here, browse, bob)
    page.get_by_role("link", name="Cancel Workshop").click()
    expect(page.get_by_text("You still pay for Pro.")).to_be_visible()
    hands.press(page, "Cancel at period end")
    expect(page.get_by_text("Your Workshop subscription ends on")).to_be_visible()
    expect(page.get_by_role("link", name="Cancel plan")).to_be_visible()


def test_an_open_invoice_leads_to_its_page_until_it_is_paid(here: World, browse: Browse, bob: Person) -> None:
    api = here.stripe().v1
    customer = one(here, select(StripeCustomer.stripe_id))
    terms = {"collection_method": "send_invoice", "days_until_due": 14, "description": "Training in May"}
    draft = api.invoices.create({"customer": customer, **terms})
    api.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 12000, "currency": "usd"})
    api.invoices.finalize_invoice(draft.id)
    page = billing(here, browse, bob)
    page.get_by_role("link", name=PAY).click()
    page.wait_for_url("**/i/in_*")
    expect(page.get_by_text("$120.00").first).to_be_visible()
    hands.fill_card(page)
    hands.press(page, "Pay")
    expect(page.get_by_text("Paid").first).to_be_visible()
    here.flush()
    page.goto(f"{here.base}/billing")
    expect(page.get_by_role("link", name=PAY)).to_have_count(0)
    expect(page.get_by_text("$120.00").first).to_be_visible()


def test_a_link_with_a_fee_is_bought(here: World, browse: Browse) -> None:
    api = here.stripe().v1
    pro = api.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    success = f"{here.base}/billing/success?session_id={{CHECKOUT_SESSION_ID}}"
    lines = [{"price": priced(here, "Set-up", 2900), "quantity": 1}, {"price": pro, "quantity": 1}]
    redirect = {"type": "redirect", "redirect": {"url": success}}
    link = api.payment_links.create({"line_items": lines, "after_completion": redirect})
    page = browse().page
    page.goto(link.url)
    expect(page.get_by_text("$29.00")).to_be_visible()
    page.get_by_label("Email").fill("eve@example.com")
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")
    expect(page.get_by_text("Thank you. Pro is yours.")).to_be_visible()
    expect(page.get_by_text("$49.99 a month")).to_be_visible()
    assert hands.reveal(page)
