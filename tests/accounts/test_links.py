"""Mailed tokens: single use, hashed, short-lived; and the effects of a password reset."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from portal import clock, tokens
from portal.accounts import users
from portal.extensions import db
from portal.models import AuditEntry, MailToken, User

from .conftest import PASSWORD, Browser, mailed_path, mails

NEW = "a whole new password"


@pytest.mark.parametrize("purpose", ["verify", "reset", "claim"])
def test_a_token_is_used_once_and_stored_as_a_hash(house, alice, purpose):
    with house.app_context():
        raw = tokens.mint(db.session.get(User, alice), purpose)
        assert raw not in db.session.execute(select(MailToken.token_hash)).scalar_one()
        assert tokens.holder(raw, purpose).id == alice
        assert tokens.redeem(raw, purpose).id == alice
        assert tokens.redeem(raw, purpose) is None
        assert tokens.holder(raw, purpose) is None


def test_a_token_serves_its_own_purpose_until_it_expires(house, alice):
    with house.app_context(), time_machine.travel(clock.now(), tick=False) as traveller:
        raw = tokens.mint(db.session.get(User, alice), "reset")
        assert tokens.redeem(raw, "claim") is None
        assert tokens.redeem("x" * 43, "reset") is None
        traveller.shift(timedelta(hours=1))
        assert tokens.redeem(raw, "reset") is None


def test_a_new_reset_makes_older_ones_void(house, alice):
    with house.app_context():
        user = db.session.get(User, alice)
        older, newer = tokens.mint(user, "reset"), tokens.mint(user, "reset")
        assert tokens.redeem(older, "reset") is None
        assert tokens.redeem(newer, "reset").id == alice


def test_a_reset_of_a_proven_account_ends_sessions_and_signs_in(house, alice, browser):
    with house.app_context():
        db.session.get(User, alice).verified_at = clock.now()
        db.session.commit()
    elsewhere = Browser(house)
    elsewhere.sign_in()
    assert browser.post("/password/forgot", email="alice@example.com").location == "/mail-sent/reset"
    path = mailed_path(house)
    page = browser.get(path)
    assert (page.status_code, page.headers["Referrer-Policy"]) == (200, "no-referrer")
    assert browser.post(path, password="password").status_code == 400
    assert elsewhere.me == "alice@example.com"
    assert browser.post(path, password=NEW).location == "/account"
    assert (browser.me, elsewhere.me) == ("alice@example.com", "nobody")
    browser.post("/logout")
    spent = browser.post(path, password=NEW)
    assert (spent.status_code, 'href="/password/forgot"' in spent.text) == (410, True)
    assert browser.sign_in(password=PASSWORD).status_code == 401
    assert browser.sign_in(password=NEW).status_code == 303


def test_asking_for_a_reset_says_the_same_of_a_mail_that_nobody_has(house, alice, browser):
    known = browser.post("/password/forgot", email="alice@example.com")
    unknown = browser.post("/password/forgot", email="nobody@example.com")
    assert known.location == unknown.location
    with house.app_context():
        assert db.session.execute(select(AuditEntry.user_id).order_by(AuditEntry.id)).scalars().all() == [
            alice,
            None,
        ]
    mailed_path(house)
    assert [mail["To"] for mail in mails(house.extensions["settings"])] == ["alice@example.com"]


def test_verification_is_mailed_again_on_request_once_a_minute(house, alice, browser):
    browser.sign_in()
    for _ in range(3):
        assert browser.post("/verify").location == "/account"
    assert browser.post(mailed_path(house)).location == "/account"
    assert len(mails(house.extensions["settings"])) == 1
    browser.post("/verify")
    with house.app_context():
        assert users.find("alice@example.com").verified_at


def test_the_account_page_shows_the_account(house, alice, browser):
    browser.sign_in()
    answer = browser.get("/account")
    assert answer.status_code == 200
    assert "alice@example.com" in answer.text
