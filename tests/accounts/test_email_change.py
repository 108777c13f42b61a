"""Changing the email address: both confirm, either may stop it, and Stripe is updated."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from portal import clock, mail
from portal.accounts import mailed_links, users
from portal.accounts.sign_in import sessions
from portal.extensions import db
from portal.models import AuditEntry, EmailChange

from .conftest import PASSWORD, Browser, mails

NEW = "alice@new.example.com"


def links(house):
    """Send due mails; return the newest link to each address, and all subjects."""
    with house.app_context():
        mail.send_due()
    found = {}
    for one in mails(house.extensions["settings"]):
        words = one.get_body(("plain",)).get_content()
        path = [word for word in words.split() if word.startswith("http://portal.test")]
        found[one["To"]] = path[0].removeprefix("http://portal.test:9250") if path else None
    return found


@pytest.fixture
def asked(house, alice, browser):
    """Alice, whose address is verified, has requested another one; the mailed links, by address."""
    with house.app_context():
        db.session.get(users.User, alice).verified_at = clock.now()
        db.session.commit()
    browser.sign_in()
    assert browser.post("/account/email", email=f" {NEW.upper()} ").location == "/account/email"
    return links(house)


def address(house, alice):
    with house.app_context():
        return db.session.get(users.User, alice).email


@pytest.mark.parametrize("order", [("alice@example.com", NEW), (NEW, "alice@example.com")])
def test_it_changes_once_both_addresses_have_confirmed(house, alice, browser, asked, order):
    stranger = Browser(house)
    for number, whose in enumerate(order):
        assert address(house, alice) == "alice@example.com"
        assert NEW in stranger.get(asked[whose]).text
        assert stranger.get(asked[whose]).headers["Referrer-Policy"] == "no-referrer"
        assert stranger.post(asked[whose], answer="yes", password=PASSWORD).location == "/account", number
        assert stranger.post(asked[whose], answer="yes", password=PASSWORD).status_code == 410
    assert address(house, alice) == NEW
    assert browser.me == NEW
    assert Browser(house).sign_in(NEW, PASSWORD).status_code == 303
    assert links(house)["alice@example.com"] is None  # the notice contains no link
    with house.app_context():
        assert db.session.execute(select(EmailChange)).first() is None
        actions = db.session.execute(select(AuditEntry.action).order_by(AuditEntry.id)).scalars().all()
    assert actions[1:3] == ["email.change_asked", "email.changed"]


def test_the_old_address_can_stop_it_and_sign_everybody_out(house, alice, browser, asked):
    assert browser.post(asked["alice@example.com"], answer="no").location == "/password/forgot"
    assert browser.me == "nobody"
    assert Browser(house).post(asked[NEW]).status_code == 410
    assert address(house, alice) == "alice@example.com"


def test_whoever_reads_the_new_mailbox_gives_their_address_to_nobody_s_account_by_a_click(
    house, alice, browser, asked
):
    victim = Browser(house)
    victim.post("/signup", email="vera@example.com", password=PASSWORD, name="Vera")
    browser.post(asked["alice@example.com"], answer="yes")
    page = victim.get(asked[NEW]).text
    assert "a…@example.com" in page
    assert "Purchases made with it then belong to that account" in page
    assert victim.post(asked[NEW], answer="yes").status_code == 400
    assert victim.post(asked[NEW], answer="yes", password="not this one").status_code == 400
    assert address(house, alice) == "alice@example.com"
    assert browser.post(asked[NEW]).location == "/account"
    assert address(house, alice) == NEW


def test_a_newer_request_makes_the_older_links_void(house, alice, browser, asked):
    browser.post("/account/email", email="other@example.com")
    for link in asked.values():
        assert browser.post(link, answer="yes").status_code == 410
    assert "other@example.com" in browser.get("/account/email").text
    assert browser.post("/account/email/drop").location == "/account"
    assert "other@example.com" not in browser.get("/account/email").text


def test_links_end_after_three_days(house, alice, asked):
    with time_machine.travel(clock.now() + timedelta(days=3, minutes=1)):
        assert Browser(house).get(asked[NEW]).status_code == 410


def test_an_address_that_has_an_account_gets_no_mail_and_the_page_says_the_same(house, alice, browser):
    with house.app_context():
        users.create("bob@example.com", "Bob", PASSWORD)
        db.session.commit()
    browser.sign_in()
    assert browser.post("/account/email", email="bob@example.com").location == "/account/email"
    assert "bob@example.com" not in links(house)


def test_an_address_taken_meanwhile_stays_its_owner_s(house, alice, browser, asked):
    browser.post(asked["alice@example.com"], answer="yes")
    with house.app_context():
        users.create(NEW, "Eve", PASSWORD)
        db.session.commit()
    assert browser.post(asked[NEW]).status_code == 410
    assert address(house, alice) == "alice@example.com"


@pytest.mark.parametrize("email", ["", "nonsense", "alice@example.com", "a b@example.com"])
def test_what_is_no_new_address_is_refused(alice, browser, email):
    browser.sign_in()
    assert browser.post("/account/email", email=email).status_code == 400


def test_it_takes_a_recent_password(house, alice, browser):
    with time_machine.travel(clock.now(), tick=False) as traveller:
        browser.sign_in()
        traveller.shift(sessions.RECENT + timedelta(seconds=1))
        assert browser.post("/account/email", email=NEW).location == "/account/confirm"
        assert browser.get("/account/email").location == "/account/confirm?next=/account/email"


def test_mails_to_another_address_keep_none_in_the_database(house, alice, asked):
    with house.app_context():
        rows = db.session.execute(db.text("SELECT * FROM outbox_mails")).all()
        assert NEW not in str(rows)


def test_an_address_that_was_never_proven_is_corrected_by_the_new_one_alone(house, alice, browser):
    """It may be mistyped: whoever reads its mail is not asked and not told, and its links end."""
    with house.app_context():
        mailed_links.mail_verification(db.session.get(users.User, alice))
        db.session.commit()
    verify = links(house)["alice@example.com"]
    browser.sign_in()
    assert "We email a link to the new address." in browser.get("/account/email").text
    browser.post("/account/email", email=NEW)
    sent = links(house)
    assert browser.post(sent[NEW], answer="yes").location == "/account"
    assert address(house, alice) == NEW
    assert Browser(house).get(verify).status_code == 410
    assert links(house) == sent
    with house.app_context():
        assert db.session.get(users.User, alice).is_proven


def test_the_first_proof_by_a_new_address_takes_somebody_in_the_account(house, alice, browser):
    """Otherwise whoever reads its mail would verify an account that a stranger created and can sign in to."""
    browser.sign_in()
    browser.post("/account/email", email=NEW)
    link = links(house)[NEW]
    stranger = Browser(house)
    assert 'name="password"' in stranger.get(link).text
    assert stranger.post(link, answer="yes").status_code == 400
    with house.app_context():
        users.create("charlie@example.com", "Charlie", PASSWORD)
        db.session.commit()
    stranger.sign_in("charlie@example.com", PASSWORD)
    assert stranger.post(link, answer="yes").status_code == 400
    assert address(house, alice) == "alice@example.com"
    assert browser.post(link, answer="yes").location == "/account"
    assert address(house, alice) == NEW
