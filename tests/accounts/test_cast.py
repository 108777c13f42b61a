"""The cast is signed in without pages: what follows is the same as from the sign-in page."""

from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry, KnownDevice, UserSession
from tests.conftest import PASSWORD, Person, person
from tests.support.browsing import Browser
from tests.support.looking import everything_stored
from tests.support.world import World

TIMES = ("at", "created_at", "last_seen_at", "confirmed_at", "expires_at", "seen_at")
PASSING = {"id", "subject", "request_id", "user_id", "actor_id", "token_hash", *TIMES}
JAR = ("name", "domain", "domain_specified", "path", "port", "secure", "discard", "rfc2109", "_rest")


def left_behind(someone: Person) -> list[dict[str, Any]]:
    """Return the rows of the sign-in, without what differs between two of them; times say whether they are set."""
    found = []
    for model in (UserSession, KnownDevice, AuditEntry):
        for row in db.session.execute(select(model.__table__).filter_by(user_id=someone.user_id)).mappings():
            found.append({name: value is not None if name in PASSING else value for name, value in row.items()})
    return found


def cookies(browser: Browser) -> list[dict[str, Any]]:
    """Return the cookies by name, without their values; `expires` is whether they do."""
    jar = sorted(browser.http.cookies, key=lambda one: one.name)
    return [{name: getattr(one, name) for name in JAR} | {"expires": one.expires is not None} for one in jar]


def session_of(app: Flask, browser: Browser) -> dict[str, Any]:
    """Return what the session cookie holds, without the token of forms that pages add."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    held: dict[str, Any] = serializer.loads(browser.http.cookies["session"])
    return {name: len(str(value)) for name, value in held.items() if name != "csrf_token"}


@pytest.mark.parametrize("role", ["customer", "support", "admin"])
def test_the_cast_is_signed_in_as_the_page_does_it(here: World, app: Flask, role: str) -> None:
    ours, paged = (person(here, name, role=role, signed_in=name == "ours") for name in ("ours", "paged"))
    paged.browser.sign_in(paged.email, PASSWORD)
    assert left_behind(ours) == left_behind(paged)
    assert len(left_behind(ours)) == 3
    assert cookies(ours.browser) == cookies(paged.browser)
    assert session_of(app, ours.browser) == session_of(app, paged.browser)
    assert ours.browser.open("/account").status_code == paged.browser.open("/account").status_code == 200


def test_bob_goes_on_where_he_was_saved(here: World, bob: Person) -> None:
    assert bob.browser.reveal().startswith("key_live_")
    bob.browser.open("/account")
    assert bob.email in bob.browser.text


@pytest.mark.both_databases
def test_a_restored_state_is_the_saved_one(here: World, bob: Person) -> None:
    saved, before, alone, then = here.save(), everything_stored(here), customers(here), bob.copy()
    bob.browser.open("/account")
    bob.browser.press("Sign out")
    person(here, "alice").browser.buy("starter-monthly")
    here.flush()
    assert everything_stored(here) != before
    assert customers(here) != alone
    here.restore(saved)
    assert everything_stored(here) == before
    assert customers(here) == alone
    then.browser.open("/account")
    assert bob.email in then.browser.text


def customers(here: World) -> list[str]:
    return [one.id for one in here.stripe().v1.customers.list().data]
