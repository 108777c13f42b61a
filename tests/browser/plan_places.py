"""The pages of changing, cancelling and resuming a plan in every state that they have."""

from playwright.sync_api import Page

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


PORTAL = [
    Place("change", "bob", "Change plan", at("/billing/change")),
    Place("change, Stripe is down", "bob", "Change plan", stripe_is_down),
    Place("change, none to change", "alice", "Your plan cannot be changed", at("/billing/change")),
    Place("quote, at once", "bob", "Change to Enterprise", at("/billing/change?price=enterprise-monthly")),
    Place("quote, at renewal", "bob", "Change to Starter", at("/billing/change?price=starter-monthly")),
    Place("quote, out of date", "bob", "Change to Enterprise", outdated),
    Place("quote, refused", "bob", "Please check", at("/billing/change?price=pro-monthly")),
    Place("billing, change planned", "newcomer", "Billing", planned),
    Place("cancel", "bob", "Cancel Pro?", at("/billing/cancel")),
    Place("cancel, refused", "bob", "Cancel Pro?", comment_too_long),
    Place("billing, cancelled", "newcomer", "Billing", cancelled),
    Place("cancel, twice", "newcomer", "There is nothing to cancel", cancelled_twice),
]
