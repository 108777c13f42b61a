"""The admin's pages in the states that they have."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.places import Place, Reach, at, refused
from tests.browser.scene import Scene

NOT_FOUND = "Page not found"


def of_bob(path: str) -> Reach:
    """A page about Bob."""
    return lambda page, scene: page.goto(scene.url(path.format(scene.people["bob"].user_id)))


def bought(item: str, card: str = "success", on_clock: bool = False) -> Reach:
    """A test purchase's chain, once its events are there."""

    def reached(page: Page, scene: Scene) -> None:
        of_bob("/admin/test-billing/{}")(page, scene)
        if page.get_by_role("button", name="Reset test data").count():  # the place before left something
            hands.press(page, "Reset test data")
        page.get_by_label("What").select_option(item)
        page.get_by_label("Card").select_option(card)
        if on_clock:
            page.get_by_label("On a test clock").check()
        hands.press(page, "Create test purchase")
        page.wait_for_url("**/purchases/PO-*")
        scene.here.flush()
        page.reload()
        expect(page.locator(".timeline")).to_contain_text("Processed")

    return reached


def then(reach: Reach, *buttons: str) -> Reach:
    """Further by these buttons, each with the events that it brings."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        for button in buttons:
            with page.expect_navigation():
                hands.press(page, button)
            scene.here.flush()
        page.reload()

    return reached


def customer_after(reach: Reach) -> Reach:
    """Bob's page in both modes, after that."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        of_bob("/admin/customers/{}")(page, scene)

    return reached


PRO = bought("plan:pro-monthly", on_clock=True)
UNPAID = then(bought("plan:pro-monthly", "fails_later", on_clock=True), "Next renewal")


def an_event(more: Callable[[Page], object] = lambda page: None) -> Reach:
    """The page of Bob's newest subscription event."""

    def reached(page: Page, scene: Scene) -> None:
        page.goto(scene.url("/admin/events?type=customer.subscription.created&mode=live"))
        page.locator("tbody a").first.click()
        more(page)

    return reached


def sent(page: Page, scene: Scene) -> None:
    bought("credits:basic")(page, scene)
    of_bob("/admin/test-billing/{}")(page, scene)
    hands.press(page, "Send test event")
    expect(page.locator("#answer")).to_contain_text("Our endpoint answered")


def refund(page: Page, scene: Scene) -> None:
    of_bob("/admin/customers/{}")(page, scene)
    page.get_by_role("link", name=re.compile("^Refund")).first.click()


PORTAL = [
    Place("admin", "ada", "Overview", at("/admin")),
    Place("admin, absent", "bob", NOT_FOUND, at("/admin/events")),
    Place("admin, customers", "ada", "Customers", at("/admin/customers")),
    Place("admin, nobody fits", "ada", "Customers", at("/admin/customers?q=cus_nobody")),
    Place("admin, customer", "ada", "bob@example.com", of_bob("/admin/customers/{}")),
    Place(
        "admin, grant refused",
        "ada",
        "bob@example.com",
        refused("Give credits", of_bob("/admin/customers/{}"), Credits="5", **{"Good until": "2020-01-01"}),
    ),
    Place("admin, refund", "ada", "Refund a payment", refund),
    Place("admin, support's customer", "sue", "bob@example.com", of_bob("/admin/customers/{}")),
    Place("admin, test billing", "ada", "Test billing", at("/admin/test-billing")),
    Place("admin, nothing tried", "ada", "Test billing", of_bob("/admin/test-billing/{}")),
    Place("admin, credits tried", "ada", "Test purchase PO-", bought("credits:basic")),
    Place("admin, plan tried", "ada", "Test purchase PO-", PRO),
    Place("admin, plan declined", "ada", "Test purchase PO-", bought("plan:pro-monthly", "decline")),
    Place("admin, plan ending", "ada", "Test purchase PO-", then(PRO, "Cancel at period end")),
    Place("admin, plan unpaid", "ada", "Test purchase PO-", UNPAID),
    Place("admin, plan ended", "ada", "bob@example.com", customer_after(then(UNPAID, "+1 month"))),
    Place("admin, credits refunded", "ada", "Test purchase PO-", then(bought("credits:basic"), "Refund")),
    Place("admin, test data", "ada", "Test billing", sent),
    Place("admin, events", "ada", "Events", at("/admin/events")),
    Place("admin, no event fits", "ada", "Events", at("/admin/events?type=none")),
    Place("admin, events refused", "ada", "Events", at("/admin/events?since=2026-02-02&until=2026-02-01")),
    Place("admin, event", "ada", "customer.subscription.created", an_event()),
    Place(
        "admin, dry run",
        "ada",
        "customer.subscription.created",
        an_event(lambda page: hands.press(page, "Dry run")),
    ),
    Place(
        "admin, payload",
        "ada",
        "customer.subscription.created",
        an_event(lambda page: hands.press(page, "Show all of it")),
    ),
    Place("admin, audit log", "ada", "Audit log", at("/admin/audit")),
    Place("admin, audit log, nothing fits", "ada", "Audit log", at("/admin/audit?action=never.was")),
]
