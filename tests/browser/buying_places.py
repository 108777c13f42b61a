"""The pages of buying a plan, and of the bill that follows, in every state that they have."""

from datetime import timedelta

from playwright.sync_api import Page

from portal import clock
from tests.browser import hands
from tests.browser.places import Place, at, checkout, refused, session_id, success
from tests.browser.scene import Scene


def success_unpaid(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    page.goto(scene.url(f"/billing/success?session_id={session_id(page)}"))


def success_pending(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    scene.here.deliveries(hold=True)
    scene.here.fail(next=1000, status=500, path="/v1/checkout/sessions/")  # until the next visit
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")


def expired(page: Page, scene: Scene) -> str:
    checkout(page, scene)
    scene.here.stripe().v1.checkout.sessions.expire(session_id(page))
    return session_id(page)


def success_expired(page: Page, scene: Scene) -> None:
    page.goto(scene.url(f"/billing/success?session_id={expired(page, scene)}"))


def success_revealed(page: Page, scene: Scene) -> None:
    success(page, scene)
    address = page.url
    hands.reveal(page)
    page.goto(address)


def key(page: Page, scene: Scene) -> None:
    success(page, scene)
    hands.reveal(page)


def pay_by_link(page: Page, scene: Scene, tier: str, email: str) -> None:
    """Buy a plan through a new Payment Link with this address."""
    command = ["payment-link", "create", "--tier", tier]
    page.goto(scene.here.app.test_cli_runner().invoke(args=command).output.strip())
    page.get_by_label("Email").fill(email)
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")


def payment_link(page: Page, scene: Scene) -> None:
    """Bought by somebody who has no account yet."""
    pay_by_link(page, scene, "pro", f"{scene.name('eve')}@example.com")


def mistyped(page: Page, scene: Scene) -> None:
    payment_link(page, scene)
    page.get_by_role("link", name="Wrong address?").click()
    page.wait_for_url("**/billing/success/address?*")


def payment_link_revealed(page: Page, scene: Scene) -> None:
    payment_link(page, scene)
    address = page.url
    hands.reveal(page)
    page.goto(address)


def payment_link_by_bob(page: Page, scene: Scene) -> None:
    """Bought while signed out, with an address that an account has verified."""
    bob = scene.name("bob")
    page.goto(scene.url("/signup"))
    hands.sign_up(page, f"{bob}@example.com")
    scene.prove(f"{bob}@example.com")
    page.get_by_text("Dora", exact=True).first.click()
    hands.press(page, "Sign out")
    pay_by_link(page, scene, "starter", f"{bob}@example.com")


def billing_twice(page: Page, scene: Scene) -> None:
    """Two subscriptions: one bought here, one by a Payment Link with the same address."""
    success(page, scene)
    email = str(page.locator(".menu-panel p").text_content()).removeprefix("Signed in as ")
    scene.prove(email)
    pay_by_link(page, scene, "starter", email)
    page.goto(scene.url("/billing"))


def free(page: Page, scene: Scene) -> None:
    hands.choose(page, scene.here.base, "Free")


def billing_past_due(page: Page, scene: Scene) -> None:
    success(page, scene)
    scene.here.flush()
    scene.let_the_last_subscription(status="past_due", past_due_since=clock.now() - timedelta(days=2))
    page.goto(scene.url("/billing"))


def billing_ending(page: Page, scene: Scene) -> None:
    success(page, scene)
    scene.here.flush()
    page.goto(scene.url("/billing"))
    hands.press(page, "Manage payment method")
    hands.press(page, "Cancel plan")
    scene.here.flush()
    page.goto(scene.url("/billing"))


def bought_in_another_tab(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/pricing"))
    other = page.context.new_page()
    success(other, scene)
    other.close()
    hands.press(page, "Choose Pro")


def stripe_is_down(page: Page, scene: Scene) -> None:
    scene.here.fail(next=4, status=500, path="/v1/")
    hands.choose(page, scene.here.base)


PORTAL = [
    Place("400 without an order", "alice", "", at("/billing/success")),
    Place("409 bought in another tab", "newcomer", "You already have a plan", bought_in_another_tab),
    Place("503", "newcomer", "", stripe_is_down),
    Place("success, unpaid", "newcomer", "This order is not paid yet", success_unpaid),
    Place("success, pending", "newcomer", "Your payment is being confirmed", success_pending),
    Place("success, expired", "newcomer", "This order has expired", success_expired),
    Place("success", "newcomer", "Thank you. Pro is yours.", success),
    Place("success, free", "newcomer", "Free is yours", free),
    Place("success, revealed", "newcomer", "Your API key was shown already", success_revealed),
    Place("success by a link", "visitor", "Thank you. Pro is yours.", payment_link),
    Place("success by a link, revealed", "visitor", "Your API key was shown already", payment_link_revealed),
    Place("success by a link, address", "visitor", "Correct your email address", mistyped),
    Place(
        "success by a link, address refused",
        "visitor",
        "Correct your email address",
        refused("Send the link", mistyped, Email="nobody@localhost"),
    ),
    Place("success by a link, sign in", "visitor", "Thank you. Sign in to see it.", payment_link_by_bob),
    Place("key", "newcomer", "Your API key", key),
    Place("billing, free", "alice", "Billing", at("/billing")),
    Place("billing", "bob", "Billing", at("/billing")),
    Place("billing, payment failed", "newcomer", "Billing", billing_past_due),
    Place("billing, ending", "newcomer", "Billing", billing_ending),
    Place("billing, twice", "newcomer", "Billing", billing_twice),
]
