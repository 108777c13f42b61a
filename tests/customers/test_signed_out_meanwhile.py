"""A request that was authenticated before its account began anew for its owner changes nothing afterwards."""

import threading
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

import pyotp
import pytest
import requests
from sqlalchemy import select

from portal import clock
from portal.accounts import users
from portal.accounts.ownership import fresh_start
from portal.accounts.security import passwords, second_factor
from portal.accounts.sign_in import sessions
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import EmailChange, User, UserSession
from tests.conftest import PASSWORD, Person
from tests.support import browsing, mailbox
from tests.support.world import World

pytestmark = pytest.mark.both_databases

NEW = "a whole new password"


def begin_anew(here: World, user_id: int) -> None:
    """Begin the account anew in another thread, as another request does."""

    def act(user: User) -> None:
        fresh_start.begin_anew(user, passwords.hash(NEW), ())
        user.verified_at = clock.now()

    elsewhere(here, user_id, act)


def end_sessions(here: World, user_id: int) -> None:
    """Sign every browser out, as the owner does from another one."""
    elsewhere(here, user_id, sessions.end_all)


def elsewhere(here: World, user_id: int, act: Callable[[User], object]) -> None:
    """Change an account in another thread."""
    failed = []

    def run() -> None:
        try:
            with here.app.app_context():
                act(db.session.get_one(User, user_id))
                db.session.commit()
                db.session.remove()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []


class Interrupt(Protocol):
    """What the fixture below returns."""

    def __call__(self, endpoint: str, user_id: int, by: Callable[[World, int], None] = ...) -> None:
        """Change the account during the endpoint's next request."""


@pytest.fixture
def interrupted(here: World) -> Iterator[Interrupt]:
    """Begin the account anew during an endpoint's next request, after it has loaded the user; or change it `by`
    something else.
    """
    kept = {}

    def interrupt(endpoint: str, user_id: int, by: Callable[[World, int], None] = begin_anew) -> None:
        view = kept[endpoint] = here.app.view_functions[endpoint]

        def late(**values: object) -> object:
            from flask_login import current_user

            here.app.view_functions[endpoint] = view
            assert not current_user.is_authenticated or current_user.user.password_hash
            db.session.commit()  # on SQLite it would hold the one write lock from its first statement
            by(here, user_id)
            return view(**values)

        here.app.view_functions[endpoint] = late

    yield interrupt
    here.app.view_functions.update(kept)


def post(browser: browsing.Browser, path: str, **fields: object) -> requests.Response:
    """Send a form of the page that is open."""
    token = next(form.fields["csrf_token"] for form in browser.forms() if "csrf_token" in form.fields)
    data = {"csrf_token": token, **fields}
    browser.page = browser.http.post(browser.here.base + path, data=data, timeout=30, allow_redirects=False)
    return browser.page


def living_keys(user_id: int) -> int:
    return len(fresh_start.living_keys(db.session.get_one(User, user_id)))


def kept_key(here: World, someone: Person) -> int:
    """Create a key of this person's, and return its id."""
    with here.app.app_context():
        key, _ = api_keys.mint(stripe_customers.of(someone.user), "kept")
        key_id = key.id
        db.session.commit()
        db.session.remove()
    return key_id


def test_no_key_is_made_afterwards(here: World, alice: Person, interrupted: Interrupt) -> None:
    alice.browser.open("/keys")
    interrupted("keys.create", alice.user_id)
    answer = post(alice.browser, "/keys", name="late", scopes=["read"])
    assert answer.status_code == 401
    assert "You were signed out" in answer.text
    with here.app.app_context():
        assert living_keys(alice.user_id) == 0


def test_no_key_that_was_kept_is_rotated_afterwards(here: World, alice: Person, interrupted: Interrupt) -> None:
    key_id = kept_key(here, alice)
    alice.browser.open(f"/keys/{key_id}/rotate")
    interrupted("keys.rotate", alice.user_id)
    assert post(alice.browser, f"/keys/{key_id}/rotate", overlap="24").status_code in (401, 409)
    with here.app.app_context():
        assert living_keys(alice.user_id) == 0


def test_no_key_that_was_kept_is_revoked_afterwards(here: World, alice: Person, interrupted: Interrupt) -> None:
    key_id = kept_key(here, alice)
    alice.browser.open(f"/keys/{key_id}/revoke")
    interrupted("keys.revoke", alice.user_id, end_sessions)
    assert post(alice.browser, f"/keys/{key_id}/revoke").status_code == 401
    with here.app.app_context():
        assert living_keys(alice.user_id) == 1


def test_no_change_of_address_is_confirmed_or_dropped_afterwards(
    here: World, alice: Person, interrupted: Interrupt
) -> None:
    alice.browser.open("/account/email")
    post(alice.browser, "/account/email", email="mallory@example.com")
    path = mailbox.links(here, "mallory@example.com", "/account/email/confirm/")[-1]
    for endpoint, sent in (("email.confirm", path), ("email.drop", "/account/email/drop")):
        alice.browser.open("/account/email")
        interrupted(endpoint, alice.user_id, end_sessions)
        assert post(alice.browser, urlsplit(sent).path).status_code == 401
        with here.app.app_context():
            assert db.session.get_one(User, alice.user_id).email == alice.email
            assert db.session.get(EmailChange, alice.user_id) is not None
            db.session.remove()
        alice.browser.sign_in(alice.email, PASSWORD)


def test_a_password_is_not_changed_back(here: World, alice: Person, interrupted: Interrupt) -> None:
    alice.browser.open("/account/password")
    interrupted("security.password", alice.user_id)
    fields = {"current": PASSWORD, "password": "the attacker's own words"}
    assert post(alice.browser, "/account/password", **fields).status_code >= 400
    with here.app.app_context():
        assert passwords.verify(db.session.get_one(User, alice.user_id).password_hash, NEW)


def test_no_second_factor_and_no_change_of_address_begins(
    here: World, alice: Person, interrupted: Interrupt
) -> None:
    alice.browser.open("/account/email")
    interrupted("email.change", alice.user_id)
    assert post(alice.browser, "/account/email", email="mallory@example.com").status_code == 401
    with here.app.app_context():
        assert db.session.get(EmailChange, alice.user_id) is None


def test_no_second_factor_is_set_up(here: World, alice: Person, interrupted: Interrupt) -> None:
    alice.browser.open("/account/second-factor")
    interrupted("security.begin_factor", alice.user_id)
    assert post(alice.browser, "/account/second-factor").status_code == 401
    with here.app.app_context():
        assert second_factor.enrolment(db.session.get_one(User, alice.user_id)) is None


def test_no_second_factor_is_turned_on(here: World, alice: Person, interrupted: Interrupt) -> None:
    with here.app.app_context():
        second_factor.begin(alice.user)
        secret = second_factor.enrolment(alice.user).secret
        db.session.commit()
        db.session.remove()
    alice.browser.open("/account/second-factor/app")
    interrupted("security.set_up_factor", alice.user_id)
    code = pyotp.TOTP(secret).now()
    assert post(alice.browser, "/account/second-factor/app", code=code).status_code != 200
    with here.app.app_context():
        assert not db.session.get_one(User, alice.user_id).has_second_factor


def test_the_account_is_not_deleted(here: World, alice: Person, interrupted: Interrupt) -> None:
    alice.browser.open("/account/delete")
    interrupted("data.delete", alice.user_id)
    assert post(alice.browser, "/account/delete", password=PASSWORD).status_code >= 400
    with here.app.app_context():
        assert db.session.get_one(User, alice.user_id).deleted_at is None


@pytest.mark.parametrize("door", ["page", "token"])
def test_nobody_comes_in_by_the_password_of_before(
    here: World, alice: Person, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    verify = passwords.verify

    def late(known: str | None, given: str) -> bool:
        monkeypatch.setattr(passwords, "verify", verify)
        fits = verify(known, given)
        begin_anew(here, alice.user_id)
        return fits

    visitor = browsing.Browser(here)
    visitor.open("/login")
    monkeypatch.setattr(passwords, "verify", late)
    if door == "page":
        answer = post(visitor, "/login", email=alice.email, password=PASSWORD)
    else:
        answer = here.app.test_client().post("/api/auth/token", json={"email": alice.email, "password": PASSWORD})
    assert answer.status_code == 401
    with here.app.app_context():
        living = select(UserSession).filter_by(user_id=alice.user_id, ended_at=None)
        assert db.session.execute(living).scalars().all() == []


def test_an_outdated_hash_is_not_written_over_the_new_one(
    here: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_it = passwords.hash

    def late(password: str) -> str:
        monkeypatch.setattr(passwords, "hash", hash_it)
        hashed = hash_it(password)
        begin_anew(here, alice.user_id)
        return hashed

    monkeypatch.setattr(passwords, "is_outdated", lambda _hash: True)
    monkeypatch.setattr(passwords, "hash", late)
    answer = here.app.test_client().post("/api/auth/token", json={"email": alice.email, "password": PASSWORD})
    assert answer.status_code == 401
    with here.app.app_context():
        assert passwords.verify(users.find(alice.email).password_hash, NEW)
