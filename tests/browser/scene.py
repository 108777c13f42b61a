"""A cast for the tour of all pages: made once, signed in, each with what the pages show of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from playwright.sync_api import Page
from sqlalchemy import select

from portal import tokens
from portal.accounts import mailed_links
from portal.customers import owners
from portal.extensions import db, limiter
from portal.models import Subscription
from tests.conftest import Person, person
from tests.support import cast
from tests.support.browsing import Browser
from tests.support.world import World

Cookies = list[Any]


@dataclass
class Scene:
    """The world of a tour: a visitor, alice who has nothing, bob with a plan and keys, and new users."""

    here: World
    people: dict[str, Person] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, path: str) -> str:
        """An address of the portal."""
        return self.here.base + path

    def browser(self) -> Browser:
        """Return a browser without a screen, for what happens elsewhere."""
        return Browser(self.here)

    def calm(self) -> None:
        """Reset the faults and rate limits of the previous visit."""
        self.here.calm()
        limiter.reset()

    def name(self, stem: str) -> str:
        """Return a name that nobody has yet."""
        return f"{stem}-{next(self.numbers)}"

    def cookies(self, who: str) -> Cookies:
        """What signs a browser in as this person; nothing for a visitor, somebody new for a newcomer."""
        if who == "visitor":
            return []
        someone = self.people.get(who) or person(self.here, self.name(who))
        return cookies(self.here, someone)

    def token(self, purpose: str) -> str:
        """Return the token of a link that is mailed to alice; one to claim, to a buyer without an account."""
        with self.here.app.app_context():
            alice = self.people["alice"].user
            raw = tokens.mint(
                owners.of(f"{self.name('buyer')}@example.com") if purpose == "claim" else alice, purpose
            )
            db.session.commit()
            db.session.remove()
        return raw

    def prove(self, email: str) -> None:
        """Mark an account's address as verified."""
        with self.here.app.app_context():
            account = owners.account(email)
            assert account is not None
            mailed_links.proven(account)
            db.session.commit()
            db.session.remove()

    def let_the_last_subscription(self, **changes: Any) -> None:
        """Write a state that takes months to reach, as a sync would have written it."""
        with self.here.app.app_context():
            query = select(Subscription).order_by(Subscription.id.desc())
            row = db.session.execute(query).scalars().first()
            for name, value in changes.items():
                setattr(row, name, value)
            db.session.commit()
            db.session.remove()


def prepared(here: World) -> Scene:
    """An empty world with alice, bob and the staff."""
    here.calm()
    cast.begin(here)
    scene = Scene(here)
    scene.people["alice"] = person(here, "alice")
    scene.people["bob"] = person(here, "bob")
    scene.people["ada"] = person(here, "ada", role="admin")
    scene.people["sue"] = person(here, "sue", role="support")
    settle(scene.people["bob"])
    here.flush()
    return scene


def settle(bob: Person) -> None:
    """Give Bob Pro, a key for each of his programs, and one that he revoked."""
    bob.browser.buy("pro-monthly")
    bob.browser.reveal()
    for name in ("Website", "Nightly export", "A laptop that was lost"):
        bob.browser.open("/keys")
        bob.browser.press("Create key", name=name)
    bob.browser.open("/keys")
    path = next(line for line in bob.browser.page.text.split('"') if line.endswith("/revoke"))
    bob.browser.open(path)
    bob.browser.press("Revoke")


def cookies(here: World, who: Person) -> Cookies:
    """Their session, for a browser with a screen."""
    return [{"name": one.name, "value": one.value, "url": here.base} for one in who.browser.http.cookies]


def post(page: Page, path: str) -> None:
    """Send a form without its page, as a forged or outdated page would."""
    page.evaluate(
        """(path) => {
            const form = Object.assign(document.createElement("form"), {method: "post", action: path});
            document.body.append(form);
            form.submit();
        }""",
        path,
    )
