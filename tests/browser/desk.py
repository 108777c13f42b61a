"""What an admin does in a browser: test purchases, watching their chains, and letting time pass."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.world import World

SCRIPT_ASKS_AFTER = "00:02"  # as portal.js has it


@dataclass
class Desk:
    """Ada's browser. With `script`, pages refresh by themselves, and its clock can be advanced."""

    here: World
    page: Page
    script: bool

    @property
    def chain(self) -> Locator:
        """Return the events on the page of a test purchase."""
        return self.page.locator(".timeline")

    def open(self, path: str) -> None:
        """A page of the portal."""
        self.page.goto(self.here.base + path)

    def press(self, name: str) -> None:
        """Press the one button of this name."""
        hands.press(self.page, name)

    def give_reason(self, button: str) -> None:
        """Fill in the reason of the form with this button."""
        form = self.page.locator("form").filter(has=self.page.get_by_text(button, exact=True))
        form.get_by_label("Reason").fill("Asked for by email")

    def act(self, name: str) -> None:
        """Open the page that asks for the reason of an action, give one, and do it."""
        fold = self.page.locator("details").filter(has=self.page.locator("summary", has_text=name)).first
        fold.locator("summary").click()
        fold.get_by_label("Reason").fill("Asked for by email")
        fold.get_by_role("button", name=name).click()

    def fact(self, name: str) -> Locator:
        """Return what the page says of a fact."""
        facts = self.page.locator("dl.facts > div")
        return facts.filter(has=self.page.get_by_text(name, exact=True)).locator("dd")

    def buy(self, user: Person, item: str, card: str = "success", trial: str = "") -> None:
        """Create a test purchase for this user, and stay on its page, before any webhook. With `trial` (a number
        of days, "0" for none) its customer is on a test clock.
        """
        self.here.deliveries(hold=True)
        self.open(f"/admin/test-billing/{user.user_id}")
        self.page.get_by_label("What").select_option(item)
        self.page.get_by_label("Card").select_option(card)
        if trial:
            self.page.get_by_label("Trial").select_option(trial)
            self.page.get_by_label("On a test clock").check()
        self.press("Create test purchase")
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("Test purchase PO-")
        expect(self.page.get_by_text("TEST MODE: no real charges")).to_be_visible()

    def hear(self) -> None:
        """Deliver the webhooks; the page shows them by its script, or by "Check again" without one."""
        self.page.wait_for_load_state()
        self.here.flush()
        if not self.script:
            self.press("Check again")
            return
        watched = self.page.locator("[data-poll]")
        news = self.page.request.get(f"{self.here.base}{watched.get_attribute('data-poll')}").json()["state"]
        self.page.clock.fast_forward(SCRIPT_ASKS_AFTER)
        expect(watched).to_have_attribute("data-state", news)

    def travel(self, step: str, times: int = 1) -> None:
        """Press a button of the test clock, and wait for its events."""
        for _ in range(times):
            with self.page.expect_navigation():
                self.press(step)
        expect(self.page.get_by_text("The clock goes on to")).to_be_visible()
        self.hear()


def desk(here: World, browse: Browse, admin: Person, *, script: bool = True) -> Desk:
    """Signed in as this admin."""
    window = browse(java_script_enabled=script)
    window.context.add_cookies(cookies(here, admin))
    if script:
        window.page.clock.install()
    return Desk(here, window.page, script)
