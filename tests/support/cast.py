"""The cast: people with an account, each with a browser. They are signed in by the portal's own functions, without
its pages; tests/accounts/test_cast.py proves that the sign-in page does the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPMessage
from types import SimpleNamespace

from flask import Flask, Response
from requests import PreparedRequest, Request
from requests.cookies import extract_cookies_to_jar
from sqlalchemy import update

from portal import clock
from portal.accounts import users
from portal.accounts.sign_in import sessions
from portal.extensions import db
from portal.models import User
from tests.support.browsing import Browser
from tests.support.kept import State
from tests.support.world import EMPTY, World

PASSWORD = "correct horse battery staple"
BOB = "bob has bought Pro"
KEPT = timedelta(minutes=1)  # shorter than everything that sessions and keys allow only for a while


@dataclass(frozen=True)
class Person:
    """A person of the cast: their user id, and their browser."""

    user_id: int
    email: str
    browser: Browser

    @property
    def user(self) -> User:
        found = db.session.get(User, self.user_id)
        assert found is not None
        return found

    def prove(self) -> None:
        """Mark the address as verified, as the mailed link does."""
        with self.browser.here.app.app_context():
            db.session.execute(update(User).where(User.id == self.user_id).values(verified_at=clock.now()))
            db.session.commit()
            db.session.remove()

    def copy(self) -> "Person":
        """Return the same person with another browser that has the same cookies and shows the same page."""
        browser = Browser(self.browser.here)
        browser.http.cookies.update(self.browser.http.cookies)
        browser.page = self.browser.page
        return Person(self.user_id, self.email, browser)


def person(here: World, name: str, *, role: str = "customer", signed_in: bool = True) -> Person:
    """Create a person, and sign them in."""
    email = f"{name}@example.com"
    with here.app.app_context():
        made = users.create(email, name.capitalize(), PASSWORD, role=role)
        assert made is not None
        user_id = made.id
        db.session.commit()
        db.session.remove()
    someone = Person(user_id, email, Browser(here))
    if signed_in:
        sign_in(someone)
    return someone


def sign_in(someone: Person) -> None:
    """Give the browser the cookies that it gets on the sign-in page."""
    browser, app = someone.browser, someone.browser.here.app
    sent = Request("POST", f"{browser.here.base}/login", headers=dict(browser.http.headers)).prepare()
    request = app.test_request_context(
        sent.url, method="POST", headers=list(sent.headers.items()), environ_base={"REMOTE_ADDR": "127.0.0.1"}
    )
    with app.app_context(), request:  # not the test's own context, whose `g` would remember who signed in
        sessions.sign_in(someone.user)
        db.session.commit()
        _keep(browser, sent, _answer(app))
        db.session.remove()


def _answer(app: Flask) -> Response:
    """Return an empty response with the cookies that this request has set."""
    return app.process_response(app.response_class())


def _keep(browser: Browser, sent: PreparedRequest, answer: Response) -> None:
    headers = HTTPMessage()
    for value in answer.headers.getlist("Set-Cookie"):
        headers["Set-Cookie"] = value
    received = SimpleNamespace(_original_response=SimpleNamespace(msg=headers))
    extract_cookies_to_jar(browser.http.cookies, sent, received)


def begin(here: World, *, with_bob: bool = False) -> None:
    """Start again with the catalogue alone, or also with Bob, who has bought Pro and whose webhooks arrived."""
    if with_bob:
        scene(here, BOB, lambda: (bob(here),))
    else:
        here.restore(here.saved[EMPTY])


def bob(here: World) -> Person:
    """Return Bob, with the browser that he bought Pro with: where `begin` has brought him, else he buys now."""
    with here.app.app_context():
        is_here = users.find("bob@example.com") is not None
        db.session.remove()
    if is_here:
        (someone,) = here.saved[BOB].people
        return someone.copy()
    someone = person(here, "bob")
    someone.browser.buy("pro-monthly")
    here.flush()
    return someone


@dataclass(frozen=True)
class Scene:
    """A saved state, and the people in it with the cookies that they had then."""

    state: State
    people: tuple[Person, ...]


def scene(here: World, name: str, make: Callable[[], tuple[Person, ...]]) -> tuple[Person, ...]:
    """Return the people whom `make` returns, in a world where only this was done.

    It is made if it was not saved under this name within the last minute of this hour: nothing is old in a test.
    """
    known: Scene | None = here.saved.get(name)
    now = clock.now()
    if known and known.state.at > now - KEPT and known.state.at.hour == now.hour:
        here.restore(known.state)
    else:
        here.restore(here.saved[EMPTY])
        people = make()
        known = here.saved[name] = Scene(here.save(), tuple(one.copy() for one in people))
    return tuple(one.copy() for one in known.people)
