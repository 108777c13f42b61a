"""Every page in every state that it has, and how to get there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from playwright.sync_api import Page, expect

from portal import clock
from tests.browser import hands
from tests.browser.scene import Scene, post
from tests.support.browsing import AUTHENTICATE, DECLINED

Reach = Callable[[Page, Scene], object]


@dataclass(frozen=True)
class Place:
    """A page in one of its states: who sees it, how they get there, and the heading that it has then."""

    name: str
    who: str
    heading: str
    reach: Reach


def at(path: str) -> Reach:
    """By its address."""
    return lambda page, scene: page.goto(scene.url(path))


def mailed(purpose: str, path: str) -> Reach:
    """By a link in a mail."""
    return lambda page, scene: page.goto(scene.url(path + scene.token(purpose)))


def pressing(button: str, reach: Reach, **values: str) -> Reach:
    """From there, after filling in these fields by label and pressing this button."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        form = page.locator("form").filter(has=page.get_by_role("button", name=button, exact=True)).first
        for label, value in values.items():
            form.get_by_label(label).fill(value)
        hands.press(page, button)

    return reached


def refused(button: str, reach: Reach, **values: str) -> Reach:
    """The same, and it comes back with what is wrong; the browser itself finds nothing to complain of."""
    press = pressing(button, reach, **values)

    def reached(page: Page, scene: Scene) -> None:
        press(page, scene)
        expect(page).to_have_title(re.compile("^Error: "))

    return reached


def checkout(page: Page, scene: Scene) -> None:
    hands.choose(page, scene.here.base)
    expect(page.get_by_label("Card number")).to_be_visible()


def session_id(page: Page) -> str:
    return page.url.rpartition("/")[2]


def paying(card: str) -> Reach:
    """The hosted checkout after this card was tried."""

    def reached(page: Page, scene: Scene) -> None:
        checkout(page, scene)
        hands.pay(page, card)

    return reached


def success(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")


def success_unpaid(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    page.goto(scene.url(f"/billing/success?session_id={session_id(page)}"))


def success_pending(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    scene.here.deliveries(hold=True)
    scene.here.fail(next=2, status=500, path="/v1/checkout/sessions/")
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")


def expired(page: Page, scene: Scene) -> str:
    checkout(page, scene)
    scene.here.stripe().v1.checkout.sessions.expire(session_id(page))
    return session_id(page)


def success_expired(page: Page, scene: Scene) -> None:
    page.goto(scene.url(f"/billing/success?session_id={expired(page, scene)}"))


def checkout_expired(page: Page, scene: Scene) -> None:
    expired(page, scene)
    page.reload()


def success_revealed(page: Page, scene: Scene) -> None:
    success(page, scene)
    address = page.url
    hands.reveal(page)
    page.goto(address)


def key(page: Page, scene: Scene) -> None:
    success(page, scene)
    hands.reveal(page)


def payment_link(page: Page, scene: Scene) -> None:
    """Bought by somebody who has no account yet."""
    command = ["payment-link", "create", "--tier", "pro"]
    page.goto(scene.here.app.test_cli_runner().invoke(args=command).output.strip())
    page.get_by_label("Email").fill(f"{scene.name('eve')}@example.com")
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")


def payment_link_revealed(page: Page, scene: Scene) -> None:
    payment_link(page, scene)
    address = page.url
    hands.reveal(page)
    page.goto(address)


def payment_link_by_bob(page: Page, scene: Scene) -> None:
    """Bought signed out, with the address of an account."""
    bob = scene.name("bob")
    page.goto(scene.url("/signup"))
    hands.sign_up(page, f"{bob}@example.com")
    page.get_by_text("Dora", exact=True).first.click()
    hands.press(page, "Sign out")
    command = ["payment-link", "create", "--tier", "starter"]
    page.goto(scene.here.app.test_cli_runner().invoke(args=command).output.strip())
    page.get_by_label("Email").fill(f"{bob}@example.com")
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")


def billing_twice(page: Page, scene: Scene) -> None:
    """Two subscriptions: one bought here, one by a Payment Link with the same address."""
    success(page, scene)
    email = str(page.locator(".menu-panel p").text_content()).removeprefix("Signed in as ")
    command = ["payment-link", "create", "--tier", "starter"]
    page.goto(scene.here.app.test_cli_runner().invoke(args=command).output.strip())
    page.get_by_label("Email").fill(email)
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")
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


def forged(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/login"))
    post(page, "/login")
    page.wait_for_load_state()


def revoke(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/keys"))
    page.get_by_role("link", name="Revoke").first.click()


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


PORTAL = [
    Place("pricing", "visitor", "Choose your plan", at("/pricing")),
    Place("pricing by year", "visitor", "Choose your plan", at("/pricing?cycle=year")),
    Place("sign-up", "visitor", "Create your account", at("/signup")),
    Place("sign-up in a purchase", "visitor", "Create your account", pressing("Choose Pro", at("/pricing"))),
    Place(
        "sign-up refused",
        "visitor",
        "Create your account",
        refused("Create account", at("/signup"), Email="a..b@example.com", Password="short"),
    ),
    Place("sign-in", "visitor", "Sign in", at("/login")),
    Place("sign-in needed", "visitor", "Sign in", at("/billing")),
    Place(
        "sign-in refused",
        "visitor",
        "Sign in",
        refused("Sign in", at("/login"), Email="alice@example.com", Password="wrong"),
    ),
    Place("forgot", "visitor", "Forgot your password?", at("/password/forgot")),
    Place(
        "forgot, mailed",
        "visitor",
        "Check your mail",
        pressing("Send the link", at("/password/forgot"), Email="alice@example.com"),
    ),
    Place("reset", "visitor", "Choose a new password", mailed("reset", "/password/reset/")),
    Place(
        "reset refused",
        "visitor",
        "Choose a new password",
        refused("Save password", mailed("reset", "/password/reset/"), Password="short"),
    ),
    Place("claim", "visitor", "Claim your account", mailed("claim", "/claim/")),
    Place("verify", "visitor", "Confirm your email address", mailed("verify", "/verify/")),
    Place("verified", "alice", "Account", pressing("Yes, confirm it", mailed("verify", "/verify/"))),
    Place("link spent", "visitor", "This link no longer works", at("/verify/nonsense")),
    Place("404", "visitor", "", at("/nowhere")),
    Place("400", "alice", "", at("/pricing?cycle=week")),
    Place("400 without an order", "alice", "", at("/billing/success")),
    Place("400 forged", "visitor", "", forged),
    Place("404 of somebody else", "alice", "", at("/keys/1/revoke")),
    Place("409 bought in another tab", "newcomer", "You already have a plan", bought_in_another_tab),
    Place("503", "newcomer", "", stripe_is_down),
    Place("pricing, signed in", "alice", "Choose your plan", at("/pricing")),
    Place("pricing with a plan", "bob", "Choose your plan", at("/pricing")),
    Place("success, unpaid", "newcomer", "This order is not paid yet", success_unpaid),
    Place("success, pending", "newcomer", "Your payment is being confirmed", success_pending),
    Place("success, expired", "newcomer", "This order has expired", success_expired),
    Place("success", "newcomer", "Thank you. Pro is yours.", success),
    Place("success, free", "newcomer", "Free is yours", free),
    Place("success, revealed", "newcomer", "Your API key was shown already", success_revealed),
    Place("success by a link", "visitor", "Thank you. Pro is yours.", payment_link),
    Place("success by a link, revealed", "visitor", "Your API key was shown already", payment_link_revealed),
    Place("success by a link, sign in", "visitor", "Thank you. Sign in to see it.", payment_link_by_bob),
    Place("key", "newcomer", "Your API key", key),
    Place("billing, free", "alice", "Billing", at("/billing")),
    Place("billing", "bob", "Billing", at("/billing")),
    Place("billing, payment failed", "newcomer", "Billing", billing_past_due),
    Place("billing, ending", "newcomer", "Billing", billing_ending),
    Place("billing, twice", "newcomer", "Billing", billing_twice),
    Place("keys, none", "alice", "API keys", at("/keys")),
    Place("keys, refused", "alice", "API keys", refused("Create key", at("/keys"), Name=" ")),
    Place("keys", "bob", "API keys", at("/keys")),
    Place("key created", "newcomer", "Your new API key", pressing("Create key", at("/keys"), Name="Website")),
    Place("key to revoke", "bob", "Revoke “", revoke),
    Place("account", "alice", "Account", at("/account")),
    Place("account with a plan", "bob", "Account", at("/account")),
]

HOSTED = [
    Place("checkout", "newcomer", "Checkout", checkout),
    Place("checkout, refused", "newcomer", "Checkout", pressing("Subscribe", checkout)),
    Place("checkout, declined", "newcomer", "Checkout", paying(DECLINED)),
    Place("checkout, authentication", "newcomer", "Your bank asks", paying(AUTHENTICATE)),
    Place("checkout, expired", "newcomer", "This checkout session has expired", checkout_expired),
    Place("Stripe's portal", "bob", "Billing", portal),
    Place("Stripe's portal, card refused", "bob", "Billing", portal_refuses),
    Place("invoice", "bob", "Invoice ", invoice),
    Place("invoice, open", "visitor", "Invoice ", invoice_open),
]
