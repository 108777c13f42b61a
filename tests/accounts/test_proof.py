"""The first verification of an address: nothing ends for its creator; from elsewhere, everything that the
creator set up ends.
"""

import pyotp
from sqlalchemy import select

from portal import clock
from portal.accounts.security import second_factor
from portal.extensions import db
from portal.models import ApiKey, AuditEntry, EmailChange, OutboxMail

from .conftest import PASSWORD, Browser
from .proving import NEW, VICTIM, a_key, account, answer, fields, forgotten, mailed_link
from .proving import attacker as attacker


def test_the_maker_s_own_browser_proves_and_nothing_ends(house, attacker):
    key, program = a_key(house), Browser(house)
    program.sign_in(VICTIM)
    path = mailed_link(house)
    page = attacker.get(path)
    assert fields(page) == []
    assert 'name="password"' not in page.text
    with house.app_context():
        assert account(house).verified_at is None  # a GET verifies nothing
    assert attacker.post(path).location == "/account"
    assert (answer(house, key), program.me) == (200, VICTIM)
    with house.app_context():
        assert account(house).is_proven
        assert account(house).begun_anew_at is None
    assert attacker.post(path).status_code == 410


def test_the_phone_beside_the_laptop_proves_by_the_password(house, attacker):
    key, phone, path = a_key(house), Browser(house), mailed_link(house)
    assert "I don&#39;t know this password" in phone.get(path).text or "I don't know" in phone.get(path).text
    assert phone.post(path).status_code == 400
    assert phone.post(path, password="not this one").status_code == 400
    with house.app_context():
        assert account(house).verified_at is None
    assert phone.post(path, password=PASSWORD).location == "/account"
    assert (answer(house, key), attacker.me, phone.me) == (200, VICTIM, VICTIM)


def test_a_victim_who_follows_the_link_cannot_verify_an_account_of_somebody_else(house, attacker):
    victim, key, path = Browser(house), a_key(house), mailed_link(house)
    page = victim.get(f"{path}?anew=1")
    assert len(fields(page)) == 1
    assert victim.post(f"{path}?anew=1", password=NEW).status_code == 400  # no answer for the key
    assert answer(house, key) == 200
    done = victim.post(f"{path}?anew=1", password=NEW, **{fields(page)[0]: "end"})
    assert (done.location, victim.me, attacker.me) == ("/account", VICTIM, "nobody")
    assert answer(house, key) == 401
    assert attacker.sign_in(VICTIM, PASSWORD).status_code == 401


def test_a_reset_before_the_first_proof_ends_all_that_the_maker_set_up(house, attacker):
    mine, theirs = a_key(house, "mine"), a_key(house, "theirs")
    with house.app_context():
        user = account(house)
        second_factor.begin(user)
        secret = second_factor.enrolment(user).secret
        db.session.commit()
        user.second_factor_at = clock.now()
        db.session.add(EmailChange(user_id=user.id, new_email="mallory@example.com", requested_at=clock.now()))
        db.session.commit()
    tokens = house.test_client().post(
        "/api/auth/token", json={"email": VICTIM, "password": PASSWORD, "code": pyotp.TOTP(secret).now()}
    )
    victim = Browser(house)
    path = forgotten(house, victim)
    page = victim.get(path)
    asked = fields(page)
    assert len(asked) == 2
    assert "checked" not in page.text
    with house.app_context():
        ids = {key.name: key.id for key in db.session.execute(select(ApiKey)).scalars()}
    assert victim.post(path, password=NEW, **{f"key_{ids['mine']}": "keep"}).status_code == 400
    answers = {f"key_{ids['mine']}": "keep", f"key_{ids['theirs']}": "end"}
    assert victim.post(path, password=NEW, **answers).location == "/account"
    assert victim.me == VICTIM  # signed in, and nobody's code is asked for
    assert f"the API key {theirs[:17]}…" in victim.get("/account").text
    assert (answer(house, mine), answer(house, theirs), attacker.me) == (200, 401, "nobody")
    refreshed = house.test_client().post("/api/auth/refresh", json={"refresh_token": tokens.json["refresh_token"]})
    assert refreshed.status_code == 401
    with house.app_context():
        user = account(house)
        assert user.is_proven
        assert user.begun_anew_at
        assert (user.second_factor_at, db.session.get(EmailChange, user.id)) == (None, None)
        told = db.session.execute(select(AuditEntry.before).filter_by(action="account.begun_anew")).scalar_one()
        assert told == {"sessions": 2, "keys": [theirs[:17]], "second_factor": True, "email_change": True}
        mailed = select(OutboxMail.template).where(OutboxMail.template.in_(("begun_anew", "password_changed")))
        assert db.session.execute(mailed).scalars().all() == ["begun_anew"]


def test_a_key_that_is_made_while_the_page_is_open_is_asked_about_too(house, attacker):
    victim = Browser(house)
    path = forgotten(house, victim)
    assert fields(victim.get(path)) == []
    late = a_key(house)
    assert victim.post(path, password=NEW).status_code == 400
    assert answer(house, late) == 200


def test_a_reset_of_a_proven_account_keeps_keys_and_second_factor(house, attacker):
    key = a_key(house)
    attacker.post(mailed_link(house))
    with house.app_context():
        account(house).second_factor_at = clock.now()
        db.session.commit()
    browser = Browser(house)
    path = forgotten(house, browser)
    assert fields(browser.get(path)) == []
    assert browser.post(path, password=NEW).location == "/login/code"
    assert (browser.me, attacker.me, answer(house, key)) == ("nobody", "nobody", 200)
    with house.app_context():
        assert account(house).begun_anew_at is None


def test_of_two_who_use_a_link_up_one_does(house, attacker):
    path = mailed_link(house)
    assert attacker.post(path).location == "/account"
    assert Browser(house).post(f"{path}?anew=1", password=NEW).status_code == 410
