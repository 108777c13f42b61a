"""The pages of changing, cancelling and resuming a plan in every state that they have."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.billing.test_steps import GOOD_IBAN
from tests.browser import hands
from tests.browser.places import Place, Reach, at, success
from tests.browser.scene import Scene


def subscribed(path: str) -> Reach:
    """A newcomer who has bought Pro, there."""

    def reached(page: Page, scene: Scene) -> None:
        success(page, scene)
        page.goto(scene.url(path))

    return reached


def planned(page: Page, scene: Scene) -> None:
    subscribed("/billing/change?price=starter-monthly")(page, scene)
    hands.press(page, "Confirm change")


def upgraded(page: Page, scene: Scene, **terms: Any) -> None:
    """A newcomer on Starter asks for Pro, and pays on these terms, or by bank debit."""
    hands.choose(page, scene.here.base, "Starter")
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")
    scene.here.flush()
    stripe = scene.here.stripe().v1
    mine = stripe.subscriptions.list({"limit": 1}).data[0]
    if not terms:
        scene.here.hold_settlements()
        method = stripe.payment_methods.create({"type": "sepa_debit", "sepa_debit": {"iban": GOOD_IBAN}})
        stripe.payment_methods.attach(method.id, {"customer": str(mine.customer)})
        terms = {"default_payment_method": method.id}
    stripe.subscriptions.update(mine.id, terms)
    scene.here.flush()
    page.goto(scene.url("/billing/change?price=pro-monthly"))
    hands.press(page, "Confirm change")
    page.wait_for_url("**/billing")
    scene.here.flush()
    page.goto(scene.url("/billing"))


def on_its_way(page: Page, scene: Scene) -> None:
    upgraded(page, scene)
    expect(page.get_by_text("Your payment is on its way.")).to_be_visible()


def invoice_sent(page: Page, scene: Scene) -> None:
    upgraded(page, scene, collection_method="send_invoice", days_until_due=30)
    expect(page.get_by_text("Your invoice for Pro is open.")).to_be_visible()


def cancelled(page: Page, scene: Scene) -> None:
    subscribed("/billing/cancel")(page, scene)
    hands.press(page, "Cancel at period end")


def cancelled_twice(page: Page, scene: Scene) -> None:
    cancelled(page, scene)
    page.goto(scene.url("/billing/cancel"))


def comment_too_long(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/billing/cancel"))
    page.get_by_label("What would have kept you?").evaluate("one => one.value = 'x'.repeat(1001)")
    hands.press(page, "Cancel at period end")


def outdated(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/billing/change?price=enterprise-monthly"))
    page.locator("input[name=quote]").evaluate("one => one.value = '0'.repeat(64)")
    hands.press(page, "Confirm change")


def stripe_is_down(page: Page, scene: Scene) -> None:
    scene.here.fail(next=100, status=500)
    page.goto(scene.url("/billing/change"))


def from_the_dashboard(page: Page, scene: Scene) -> None:
    """A newcomer with five seats, a second subscription, a balance, an open invoice, and a credit note."""
    subscribed("/billing")(page, scene)
    api = scene.here.stripe().v1
    mine = api.subscriptions.list({"limit": 1}).data[0]
    customer, item = str(mine.customer), mine["items"].data[0].id
    [paid] = api.invoices.list({"customer": customer, "limit": 1}).data
    api.subscriptions.update(mine.id, {"items": [{"id": item, "quantity": 5}], "description": "As agreed"})
    product = api.products.create({"name": "Workshop"}).id
    terms = {"currency": "usd", "unit_amount": 2500, "recurring": {"interval": "month"}}
    price = api.prices.create({"product": product, **terms}).id
    api.subscriptions.create({"customer": customer, "items": [{"price": price}]})
    api.credit_notes.create({"invoice": paid.id, "amount": 1000, "credit_amount": 1000})
    asked = {"collection_method": "send_invoice", "days_until_due": 14, "description": "Training in May"}
    draft = api.invoices.create({"customer": customer, **asked})
    api.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 12000, "currency": "usd"})
    api.invoices.finalize_invoice(draft.id)
    scene.here.flush()


def from_the_dashboard_at(path: str) -> Reach:
    def reached(page: Page, scene: Scene) -> None:
        from_the_dashboard(page, scene)
        page.goto(scene.url(path))

    return reached


PORTAL = [
    Place("billing, from the Dashboard", "newcomer", "Billing", from_the_dashboard_at("/billing")),
    Place("history, from the Dashboard", "newcomer", "History", from_the_dashboard_at("/history")),
    Place("cancel, one of two", "newcomer", "Cancel Pro?", from_the_dashboard_at("/billing/cancel")),
    Place("change", "bob", "Change plan", at("/billing/change")),
    Place("change, Stripe is down", "bob", "Change plan", stripe_is_down),
    Place("change, none to change", "alice", "Your plan cannot be changed", at("/billing/change")),
    Place("quote, at once", "bob", "Change to Enterprise", at("/billing/change?price=enterprise-monthly")),
    Place("quote, at renewal", "bob", "Change to Starter", at("/billing/change?price=starter-monthly")),
    Place("quote, out of date", "bob", "Change to Enterprise", outdated),
    Place("quote, refused", "bob", "You have this plan already", at("/billing/change?price=pro-monthly")),
    Place("billing, change planned", "newcomer", "Billing", planned),
    Place("billing, change by debit", "newcomer", "Billing", on_its_way),
    Place("billing, change by sent invoice", "newcomer", "Billing", invoice_sent),
    Place("cancel", "bob", "Cancel Pro?", at("/billing/cancel")),
    Place("cancel, refused", "bob", "Cancel Pro?", comment_too_long),
    Place("billing, cancelled", "newcomer", "Billing", cancelled),
    Place("cancel, twice", "newcomer", "There is nothing to cancel", cancelled_twice),
]
