"""Signing in and out: sessions, messages, limits."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from portal import clock
from portal.accounts import users
from portal.accounts.security import passwords
from portal.accounts.sign_in import sessions
from portal.extensions import db
from portal.models import User, UserSession

from .conftest import PASSWORD, Browser


def cookie(browser):
    return browser.client.get_cookie("session").value


def test_who_signs_in_is_known_until_signing_out(alice, browser):
    answer = browser.sign_in(email=" ALICE@example.com ")
    assert (answer.status_code, answer.location) == (303, "/account")
    assert browser.me == "alice@example.com"
    assert browser.post("/logout").location == "/login"
    assert browser.me == "nobody"


def test_a_copied_cookie_is_dead_after_sign_out(house, alice, browser):
    browser.sign_in()
    thief = Browser(house)
    thief.client.set_cookie("session", cookie(browser))
    assert thief.me == "alice@example.com"
    browser.post("/logout")
    assert thief.me == "nobody"
    assert thief.get("/account").location == "/login?next=/account"


def test_signing_in_begins_a_new_session_that_keeps_a_purchase_only(house, alice, browser):
    with browser.client.session_transaction() as before:
        before.update(purchase_number="PO-1", csrf_token="planted", other="dropped")
    csrf = {"csrf_token": browser.get("/_csrf").text}
    browser.client.post("/login", data={"email": "alice@example.com", "password": PASSWORD, **csrf})
    with browser.client.session_transaction() as after:
        assert after["purchase_number"] == "PO-1"
        assert "other" not in after
        assert after.get("csrf_token") != "planted"
        token = after["_user_id"]
    with house.app_context():
        row = db.session.execute(select(UserSession)).scalar_one()
    assert row.token_hash != token
    assert str(alice) != token


@pytest.mark.parametrize(
    ("email", "password"),
    [("alice@example.com", "a wrong password"), ("nobody@example.com", PASSWORD), ("bob@example.com", PASSWORD)],
)
def test_a_wrong_password_an_unknown_and_an_unclaimed_mail_get_the_same_words_and_work(
    house, alice, browser, monkeypatch, email, password
):
    with house.app_context():
        users.create("bob@example.com")  # made by a payment: no password yet
        db.session.commit()
    verified = []
    real = passwords.verify
    monkeypatch.setattr(passwords, "verify", lambda *given: verified.append(1) or real(*given))
    answer = browser.sign_in(email, password)
    assert answer.status_code == 401
    assert "The email or the password is not right." in answer.text
    assert verified == [1]
    assert browser.me == "nobody"


def test_a_session_ends_after_fourteen_idle_days_and_thirty_at_most(house, alice, browser):
    with time_machine.travel(clock.now(), tick=False) as traveller:
        browser.sign_in()
        traveller.shift(sessions.IDLE - timedelta(minutes=1))
        assert browser.me == "alice@example.com"
        traveller.shift(sessions.IDLE - timedelta(minutes=1))
        assert browser.me == "alice@example.com"
        traveller.shift(timedelta(days=3))
        assert browser.me == "nobody"


def test_an_idle_session_ends(house, alice, browser):
    with time_machine.travel(clock.now(), tick=False) as traveller:
        browser.sign_in()
        traveller.shift(sessions.IDLE + timedelta(minutes=1))
        assert browser.me == "nobody"


def test_use_is_noted_every_five_minutes_at_most(house, alice, browser):
    def seen():
        with house.app_context():
            return db.session.execute(select(UserSession.last_seen_at)).scalar_one()

    with time_machine.travel(clock.now(), tick=False) as traveller:
        browser.sign_in()
        begun = seen()
        traveller.shift(timedelta(minutes=4))
        browser.get("/_me")
        assert seen() == begun
        traveller.shift(timedelta(minutes=2))
        browser.get("/_me")
        assert seen() == begun + timedelta(minutes=6)


def test_a_busy_database_does_not_cost_the_reader_the_page(house, alice, browser):
    with time_machine.travel(clock.now(), tick=False) as traveller:
        browser.sign_in()
        traveller.shift(timedelta(minutes=6))
        with house.app_context():
            db.session.connection().exec_driver_sql("PRAGMA busy_timeout=50")
            other = db.engine.connect()
            db.session.rollback()
            other.exec_driver_sql("SELECT 1")  # holds SQLite's write lock: transactions begin IMMEDIATE
            assert browser.me == "alice@example.com"
            other.close()


def test_guests_are_led_to_the_sign_in_page_and_back(alice, browser):
    assert browser.get("/account?a=1").location == "/login?next=/account?a%3D1"
    assert browser.post("/verify").location == "/login"
    assert browser.sign_in(next="/account?a=1").location == "/account?a=1"


def test_a_post_without_its_csrf_token_is_refused(house, alice):
    client = house.test_client()
    for path in ("/login", "/signup", "/logout", "/password/forgot", "/password/reset/x", "/verify", "/claim/x"):
        assert client.post(path).status_code == 400, path


def test_an_error_that_breaks_the_transaction_is_still_answered_by_a_page(house, alice, browser):
    def broken():
        db.session.add(User(email="alice@example.com"))  # a second one
        db.session.flush()

    house.add_url_rule("/_broken", "broken", broken)
    house.config["PROPAGATE_EXCEPTIONS"] = False
    browser.sign_in()
    answer = browser.get("/_broken")
    assert (answer.status_code, "Something went wrong on our side" in answer.text) == (500, True)
    assert browser.me == "alice@example.com"
