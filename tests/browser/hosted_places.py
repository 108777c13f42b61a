"""The sandbox's hosted pages in every state that they have, also those that only the API brings about."""

import re
from typing import Any

from playwright.sync_api import Page

from tests.browser import hands
from tests.browser.buying_places import expired
from tests.browser.places import Place, Reach, checkout, pressing
from tests.browser.scene import Scene
from tests.support.browsing import AUTHENTICATE, DECLINED

URLS = {"success_url": "http://127.0.0.1/done", "cancel_url": "http://127.0.0.1/back"}
EXTRAS = ((1000, "Support line"), (500, "Daily backups"))


def plan(stripe: Any, amount: int = 4999, name: str = "Pro") -> Any:
    """A price of so many cents a month."""
    terms = {"unit_amount": amount, "currency": "usd", "recurring": {"interval": "month"}}
    return stripe.prices.create({"product_data": {"name": name}, **terms})


def subscribed(stripe: Any) -> Any:
    """Somebody's running plan."""
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    dora = stripe.customers.create({"email": "dora@example.com", **card})
    return stripe.subscriptions.create({"customer": dora.id, "items": [{"price": plan(stripe).id}]})


def asking(page: Page, scene: Scene) -> None:
    """A checkout with every field that it can have, seats, optional items and a promotion code."""
    stripe = scene.here.stripe().v1
    coupon = stripe.coupons.create({"percent_off": 20}).id
    code = stripe.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}}).code
    asked = {"automatic_tax": {"enabled": True}, "tax_id_collection": {"enabled": True}}
    seats = {"enabled": True, "minimum": 1, "maximum": 10}
    lines = [{"price": plan(stripe).id, "quantity": 2, "adjustable_quantity": seats}]
    asked["optional_items"] = [{"price": plan(stripe, amount, name).id, "quantity": 1} for amount, name in EXTRAS]
    session = stripe.checkout.sessions.create(
        {"mode": "subscription", "line_items": lines, "allow_promotion_codes": True, **asked, **URLS}
    )
    page.goto(session.url)
    hands.press(page, "Add Support line")
    page.get_by_label("Quantity").fill("3")
    hands.press(page, "Update")
    hands.press(page, "Apply")
    page.get_by_label("Add promotion code").fill(code)
    hands.press(page, "Apply")
    page.get_by_text("Total due today").wait_for()


def code_refused(page: Page, scene: Scene) -> None:
    stripe = scene.here.stripe().v1
    lines = [{"price": plan(stripe).id, "quantity": 1}]
    session = stripe.checkout.sessions.create(
        {"mode": "subscription", "line_items": lines, "allow_promotion_codes": True, **URLS}
    )
    page.goto(session.url)
    page.get_by_label("Add promotion code").fill("NOSUCHCODE")
    hands.press(page, "Apply")


def leaving(page: Page, scene: Scene) -> None:
    """The portal's page for cancelling, which asks for the reason."""
    stripe = scene.here.stripe().v1
    running = subscribed(stripe)
    reasons = {"enabled": True, "options": ["too_expensive", "unused", "other"]}
    features = {"subscription_cancel": {"enabled": True, "cancellation_reason": reasons}}
    configuration = stripe.billing_portal.configurations.create({"features": features})
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": running.id}}
    session = stripe.billing_portal.sessions.create(
        {"customer": running.customer, "configuration": configuration.id, "flow_data": flow}
    )
    page.goto(session.url)


def details(page: Page, scene: Scene) -> None:
    stripe = scene.here.stripe().v1
    page.goto(stripe.billing_portal.sessions.create({"customer": subscribed(stripe).customer}).url)
    page.get_by_text("Update billing details").click()
    page.get_by_text("Use another card").click()


def confirming(page: Page, scene: Scene) -> None:
    """A payment that the bank wants to be confirmed."""
    stripe = scene.here.stripe().v1
    running = subscribed(stripe)
    asks = stripe.payment_methods.attach("pm_card_authenticationRequired", {"customer": running.customer})
    change = {"items": [{"id": running["items"].data[0].id, "price": plan(stripe, 9999).id}]}
    more = {"default_payment_method": asks.id, "proration_behavior": "always_invoice"}
    after = stripe.subscriptions.update(running.id, {**change, **more, "expand": ["latest_invoice"]})
    page.goto(after.latest_invoice.hosted_invoice_url)


def object_page(page: Page, scene: Scene) -> None:
    """The page that the admin's links lead to: an object as the API returns it."""
    running = subscribed(scene.here.stripe().v1)
    page.goto(f"{scene.here.sandbox.replace('127.0.0.1', 'localhost')}/dashboard/subscriptions/{running.id}")


def dashboard(path: str) -> Reach:
    """A page of the sandbox's dashboard, where something has happened."""

    def reached(page: Page, scene: Scene) -> None:
        stripe = scene.here.stripe("test").v1
        subscribed(stripe)
        stripe.test_helpers.test_clocks.create({"frozen_time": 1_900_000_000, "name": "A year ahead"})
        event = stripe.events.list({"type": "invoice.paid", "limit": 1}).data[0].id
        address = path.replace("EVENT", event)
        page.goto(f"{scene.here.sandbox.replace('127.0.0.1', 'localhost')}/{address}")

    return reached


def paying(card: str) -> Reach:
    """The hosted checkout after this card was tried."""

    def reached(page: Page, scene: Scene) -> None:
        checkout(page, scene)
        hands.pay(page, card)

    return reached


def checkout_expired(page: Page, scene: Scene) -> None:
    expired(page, scene)
    page.reload()


def portal(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/billing"))
    hands.press(page, "Manage payment method")


def portal_refuses(page: Page, scene: Scene) -> None:
    portal(page, scene)
    page.get_by_text("Use another card").click()
    hands.press(page, "Save card")


def invoice(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/billing"))
    # A place before this one may have left the newest as one that is still to be paid.
    page.get_by_role("link", name=re.compile("^(View|Pay) invoice")).first.click()


def invoice_open(page: Page, scene: Scene) -> None:
    stripe = scene.here.stripe().v1
    customer = stripe.customers.create({"email": "carol@example.com", "name": "Carol"}).id
    draft = stripe.invoices.create(
        {"customer": customer, "collection_method": "send_invoice", "days_until_due": 30}
    )
    stripe.invoice_items.create(
        {"customer": customer, "invoice": draft.id, "amount": 1234, "currency": "usd", "description": "A thing"}
    )
    page.goto(str(stripe.invoices.finalize_invoice(draft.id).hosted_invoice_url))


PLACES = [
    Place("checkout", "newcomer", "Checkout", checkout),
    Place("checkout, refused", "newcomer", "Checkout", pressing("Subscribe", checkout)),
    Place("checkout, declined", "newcomer", "Checkout", paying(DECLINED)),
    Place("checkout, authentication", "newcomer", "Your bank asks", paying(AUTHENTICATE)),
    Place("checkout, expired", "newcomer", "This checkout session has expired", checkout_expired),
    Place("Stripe's portal", "bob", "Billing", portal),
    Place("Stripe's portal, card refused", "bob", "Billing", portal_refuses),
    Place("invoice", "bob", "Invoice ", invoice),
    Place("invoice, open", "visitor", "Invoice ", invoice_open),
    Place("an object at Stripe", "visitor", "Subscription", object_page),
    Place("checkout, asking for all", "visitor", "Checkout", asking),
    Place("checkout, code refused", "visitor", "Checkout", code_refused),
    Place("Stripe's portal, cancelling", "visitor", "Billing", leaving),
    Place("Stripe's portal, details", "visitor", "Billing", details),
    Place("sandbox, start", "visitor", "Stripe sandbox", dashboard("")),
    Place("sandbox, overview", "visitor", "Overview", dashboard("dashboard/test")),
    Place("sandbox, events", "visitor", "Events", dashboard("dashboard/test/events")),
    Place("sandbox, event", "visitor", "Event", dashboard("dashboard/test/events/EVENT")),
    Place("sandbox, test clocks", "visitor", "Test clocks", dashboard("dashboard/test/test-clocks")),
    Place("sandbox, requests", "visitor", "Requests", dashboard("dashboard/test/logs")),
    Place("invoice to confirm", "visitor", "Invoice ", confirming),
]
