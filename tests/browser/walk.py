"""What walks of buyers and attackers share: somebody in front of a browser, and what a key answers."""

from dataclasses import dataclass

import requests
from playwright.sync_api import Locator, Page, expect

from tests.browser import hands
from tests.conftest import PASSWORD
from tests.support import mailbox
from tests.support.world import World

NEW = "a whole new password"


@dataclass(frozen=True)
class Walker:
    """Somebody who uses a browser."""

    here: World
    page: Page

    def open(self, path: str) -> None:
        """A page of the portal, or any address."""
        self.page.goto(path if "://" in path else self.here.base + path)

    def press(self, name: str) -> None:
        """Press the one button of this name."""
        hands.press(self.page, name)

    def sees(self, *words: str) -> None:
        """Check that the page says this."""
        for one in words:
            expect(self.page.locator("main")).to_contain_text(one)

    def sees_nothing_of(self, *words: str) -> None:
        """Check that the page's source does not contain this."""
        for one in words:
            assert one not in self.page.content(), one

    def heading(self, words: str) -> None:
        """Check that the page has this heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(words)

    def sign_up(self, email: str) -> None:
        """Create an account with anybody's address."""
        self.open("/signup")
        hands.sign_up(self.page, email)
        expect(self.page.get_by_role("link", name="Account", exact=True)).to_be_visible()

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Sign in on the sign-in page; the caller checks where that leads."""
        self.open("/login")
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.press("Sign in")

    def is_signed_out(self) -> None:
        """Check that the account page asks them to sign in."""
        self.open("/account")
        self.heading("Sign in")

    def is_not_let_in(self, email: str, password: str = PASSWORD) -> None:
        """Check that their password is refused."""
        self.sign_in(email, password)
        expect(self.page.get_by_role("alert").first).to_contain_text("password is not right")

    def create_key(self, name: str) -> str:
        """A new API key on the page of keys."""
        self.open("/keys")
        self.page.get_by_label("Name").fill(name)
        self.press("Create key")
        shown = hands.KEY.search(self.page.get_by_text(hands.KEY).first.inner_text())
        assert shown
        return shown[0]

    def buy(self, email: str) -> str:
        """Sign up on the way to Pro, pay, and reveal the key."""
        hands.choose(self.page, self.here.base)
        hands.sign_up(self.page, email)
        hands.pay(self.page)
        return hands.reveal(self.page)

    def buy_by_link(self, email: str, tier: str = "pro") -> str:
        """Pay through a Payment Link with this address, and return the URL of the success page."""
        self.open(payment_link(self.here, tier))
        self.page.get_by_label("Email").fill(email)
        hands.pay(self.page)
        self.page.wait_for_url("**/billing/success?*")
        return self.page.url

    def question(self, words: str) -> Locator:
        """Return what the page asks about a purchase or a key."""
        return self.page.get_by_role("group", name=words)

    def answer(self, words: str, answer: str) -> None:
        """Answer it."""
        self.question(words).get_by_label(answer, exact=True).check()

    def mailed(self, email: str, path: str) -> None:
        """Follow the newest link of this kind that was mailed to an address."""
        self.open(mailbox.links(self.here, email, path)[-1])

    def forgot(self, email: str) -> None:
        """Ask for a new password, and follow the link."""
        self.open("/password/forgot")
        self.page.get_by_label("Email").fill(email)
        self.press("Send the link")
        self.heading("Check your email")
        self.mailed(email, "/password/reset/")

    def set_password(self, button: str, password: str = NEW) -> None:
        """Choose a new password on the page that is open; it signs in."""
        self.page.get_by_label("New password").fill(password)
        self.press(button)
        self.heading("Account")


def payment_link(here: World, tier: str) -> str:
    """The address of a new Payment Link."""
    done = here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", tier])
    assert done.exit_code == 0, done.output
    return done.output.strip()


def receipt(here: World, key: str) -> requests.Response:
    """What the API says of a key."""
    return requests.get(f"{here.base}/v1/receipt", headers={"Authorization": f"Bearer {key}"}, timeout=30)


def standing(here: World, key: str) -> tuple[str, str]:
    """Return the customer and tier of a key."""
    answer = receipt(here, key)
    assert answer.status_code == 200, answer.text
    return answer.json()["customer"], answer.json()["tier"]


def is_dead(here: World, key: str) -> bool:
    """Whether a key is refused."""
    return receipt(here, key).status_code == 401
