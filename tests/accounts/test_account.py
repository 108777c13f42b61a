"""The account page and its links: name, time zone, password, sessions."""

import pytest
from sqlalchemy import select

from portal import mail
from portal.accounts import users
from portal.extensions import db
from portal.models import AuditEntry, UserSession

from .conftest import PASSWORD, Browser, mailed_path, mails

NEW = "a whole new password"


def noted(house):
    with house.app_context():
        return db.session.execute(select(AuditEntry.action).order_by(AuditEntry.id)).scalars().all()


def test_the_account_page_leads_on_to_everything(house, alice, browser):
    browser.sign_in()
    page = browser.get("/account").text
    for words in ("alice@example.com", "Choose plan", "Buy credits", "Not verified", "Send the link again", "UTC"):
        assert words in page
    browser.post("/verify")
    browser.post(mailed_path(house))
    page = browser.get("/account").text
    assert "Not verified" not in page
    assert "Send the link again" not in page


def test_name_and_time_zone_are_kept_and_times_follow(house, alice, browser):
    browser.sign_in()
    assert 'value="Alice"' in browser.get("/account/profile").text
    assert browser.post("/account/profile", name=" Alice  B. ", timezone="Asia/Tokyo").location == "/account"
    page = browser.get("/account").text
    assert "Alice B." in page
    assert "GMT+9" in page or "JST" in page


@pytest.mark.parametrize("given", [{"timezone": "Mars/Base"}, {"timezone": "UTC", "name": "x" * 201}])
def test_a_profile_that_does_not_fit_is_refused(alice, browser, given):
    browser.sign_in()
    assert browser.post("/account/profile", **given).status_code == 400


def test_a_new_password_takes_the_present_one_and_ends_every_other_session(house, alice, browser):
    elsewhere = Browser(house)
    elsewhere.sign_in()
    browser.sign_in()
    path = "/account/password"
    wrong = browser.post(path, current="wrong", password=NEW)
    assert (wrong.status_code, 'id="current-error"' in wrong.text) == (400, True)
    poor = browser.post(path, current=PASSWORD, password="password")
    assert (poor.status_code, 'id="password-error"' in poor.text) == (400, True)
    before = browser.client.get_cookie("session").value
    assert browser.post(path, current=PASSWORD, password=NEW).location == "/account"
    assert (browser.me, elsewhere.me) == ("alice@example.com", "nobody")
    thief = Browser(house)
    thief.client.set_cookie("session", before)
    assert thief.me == "nobody"
    assert Browser(house).sign_in(password=NEW).status_code == 303
    assert noted(house)[2:] == ["password.refused", "password.changed", "session.started", "session.started"]
    with house.app_context():
        mail.send_due()
    assert [one["Subject"] for one in mails(house.extensions["settings"])] == ["Your password was changed"]


def test_sessions_are_ended_one_by_one_or_all(house, alice, browser):
    with house.app_context():
        users.create("bob@example.com", "Bob", PASSWORD)
        db.session.commit()
    first, second, bob = Browser(house), Browser(house), Browser(house)
    for one in (first, second, browser):
        one.sign_in()
    bob.sign_in("bob@example.com")
    with house.app_context():
        ids = db.session.execute(select(UserSession.id).order_by(UserSession.id)).scalars().all()
    assert bob.post(f"/account/sessions/{ids[0]}/end").status_code == 404
    assert browser.post(f"/account/sessions/{ids[0]}/end").location == "/account"
    assert (first.me, second.me) == ("nobody", "alice@example.com")
    assert browser.post("/account/sessions/end").location == "/login"
    assert (second.me, browser.me, bob.me) == ("nobody", "nobody", "bob@example.com")


def test_who_signs_in_and_who_fails_to_is_written_down_without_names(house, alice, browser):
    browser.sign_in(password="wrong")
    browser.sign_in("nobody@example.com")
    browser.sign_in()
    browser.post("/account/sessions/end")
    with house.app_context():
        rows = db.session.execute(select(AuditEntry).order_by(AuditEntry.id)).scalars().all()
    assert [(row.action, row.user_id) for row in rows] == [
        ("session.refused", alice),
        ("session.refused", None),
        ("session.started", alice),
        ("sessions.ended", alice),
    ]
    assert all("alice" not in f"{row.before}{row.after}{row.subject}".lower() for row in rows)
