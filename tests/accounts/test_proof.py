"""The first proof of an address: by the maker nothing ends, from elsewhere what the maker set up ends."""

import re

import pyotp
import pytest
from sqlalchemy import select

from portal import clock, mail
from portal.accounts import people, second_factor
from portal.customers import owners
from portal.extensions import db
from portal.keys import minting
from portal.models import ApiKey, AuditEntry, Customer, EmailChange, OutboxMail, User
from portal.purchases import customers

from .conftest import PASSWORD, Browser, mails

VICTIM = "vera@example.com"
NEW = "a whole new password"


@pytest.fixture
def attacker(house):
    """A browser that signed up with somebody else's address."""
    browser = Browser(house)
    browser.post("/signup", email=VICTIM, password=PASSWORD, name="Mallory")
    return browser


def account(house):
    return people.find(VICTIM)


def a_key(house, name="theirs"):
    """A new key of the account: its secret."""
    with house.app_context():
        _, secret = minting.mint(customers.of(account(house)), name)
        db.session.commit()
        return secret


def answer(house, secret):
    return house.test_client().get("/v1/receipt", headers={"Authorization": f"Bearer {secret}"}).status_code


def fields(page):
    """The names of the questions that a page asks."""
    return sorted(set(re.findall(r'name="((?:purchase|key)_\d+)"', page.text)))


def mailed_link(house):
    """Send what is due and give the path of the newest link that proves an address."""
    with house.app_context():
        mail.send_due()
    texts = [one.get_body(("plain",)).get_content() for one in mails(house.extensions["settings"])]
    links = [re.search(r"portal\.test:9250(/(?:verify|claim|password/reset)/\S+)", text) for text in texts]
    return [link[1] for link in links if link][-1]


def forgotten(house, browser):
    """Ask for a new password and give the mailed path."""
    browser.post("/password/forgot", email=VICTIM)
    return mailed_link(house)


def test_the_maker_s_own_browser_proves_and_nothing_ends(house, attacker):
    key, program = a_key(house), Browser(house)
    program.sign_in(VICTIM)
    path = mailed_link(house)
    page = attacker.get(path)
    assert fields(page) == []
    assert 'name="password"' not in page.text
    with house.app_context():
        assert account(house).verified_at is None  # a GET proves nothing
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


# What waits for an address


def waits(house, credits=0):
    """Something bought for the address before it was proven: the unclaimed user's id and a key's secret."""
    with house.app_context():
        user = owners.of(VICTIM)
        customer = customers.of(user)
        _, secret = minting.mint(customer, "bought")
        if credits:
            from portal.credits import ledger

            ledger.post(customer.id, credits, "purchase", f"cs_{user.id}", description="Credits")
        db.session.commit()
        return user.id, secret


def test_an_unproven_account_has_no_part_in_what_waits(house, attacker):
    _, secret = waits(house)
    mine = a_key(house)
    assert answer(house, secret) == 200
    receipt = house.test_client().get("/v1/receipt", headers={"Authorization": f"Bearer {mine}"})
    with house.app_context():
        ours = db.session.execute(select(Customer.id).join(User).where(User.id == account(house).id)).scalar_one()
    assert receipt.json["customer"] == str(ours)
    assert attacker.get("/account/purchases").location == "/account"
    assert "purchases made with it are added then" in attacker.get("/account").text


def test_a_purchase_joins_the_account_that_began_anew_and_not_the_attacker_s(house, attacker):
    theirs = a_key(house)
    waiting, bought = waits(house, credits=500)
    victim = Browser(house)
    path = forgotten(house, victim)
    asked = fields(victim.get(path))
    assert len(asked) == 3
    with house.app_context():
        ids = {key.name: key.id for key in db.session.execute(select(ApiKey)).scalars()}
    answers = {f"purchase_{waiting}": "mine", f"key_{ids['theirs']}": "end"}
    assert victim.post(path, password=NEW, **answers).status_code == 400  # its key is not answered
    answers[f"key_{ids['bought']}"] = "keep"
    assert victim.post(path, password=NEW, **answers).location == "/account"
    assert (answer(house, theirs), answer(house, bought)) == (401, 200)
    with house.app_context():
        customer = customers.find(account(house))
        assert customer.credit_balance == 500
        assert db.session.get(User, waiting).taken_over_by == account(house).id
    receipt = house.test_client().get("/v1/receipt", headers={"Authorization": f"Bearer {bought}"}).json
    assert (receipt["customer"], receipt["credits"]) == (str(customer.id), 500)


def test_an_empty_customer_gives_way(house, attacker):
    with house.app_context():
        customers.of(account(house))
        db.session.commit()
    waiting, bought = waits(house)
    with house.app_context():
        theirs = customers.find(db.session.get(User, waiting)).id
    with house.app_context():
        key_id = db.session.execute(select(ApiKey.id)).scalar_one()
    path = mailed_link(house)
    answers = {f"purchase_{waiting}": "mine", f"key_{key_id}": "keep"}
    assert attacker.post(path, **answers).location == "/account"
    with house.app_context():
        assert customers.find(account(house)).id == theirs
        assert customers.find(db.session.get(User, waiting)) is None
    assert answer(house, bought) == 200


def test_what_is_not_mine_stays_with_its_buyer_and_an_admin_is_told(house, attacker):
    waiting, bought = waits(house)
    assert attacker.post(mailed_link(house), **{f"purchase_{waiting}": "not_mine"}).location == "/account"
    assert answer(house, bought) == 200
    with house.app_context():
        assert db.session.get(User, waiting).disowned_at
        told = db.session.execute(select(OutboxMail).filter_by(template="purchase_disowned")).scalar_one()
        assert told.to == house.extensions["settings"].admin_email
    assert attacker.get("/account/purchases").location == "/account"  # it is not asked again


def test_a_purchase_that_was_not_answered_waits_on_the_account_page(house, attacker):
    attacker.post(mailed_link(house))
    with house.app_context():  # one from before the proof, found later
        late = User(email=VICTIM, created_at=clock.now())
        db.session.add(late)
        db.session.commit()
        late_id = late.id
    assert "/account/purchases" in attacker.get("/account").text
    assert attacker.post("/account/purchases").status_code == 400
    done = attacker.post("/account/purchases", **{f"purchase_{late_id}": "mine"})
    assert done.location == "/account"
    assert "/account/purchases" not in attacker.get("/account").text


def test_with_promotional_credits_on_both_sides_nothing_moves_and_an_admin_is_told(house, attacker):
    from tests.support.books import a_grant

    a_key(house)  # the account is not empty
    waiting, _ = waits(house)
    with house.app_context():
        a_grant(customers.find(db.session.get(User, waiting)).id, 100, days=30)
        ids = {key.name: key.id for key in db.session.execute(select(ApiKey)).scalars()}
    answers = {f"purchase_{waiting}": "mine", f"key_{ids['bought']}": "end"}
    assert attacker.post(mailed_link(house), **answers).location == "/account"
    assert "has to be added by a person" in attacker.get("/account").text
    with house.app_context():
        assert db.session.get(User, waiting).taken_over_by is None
        assert customers.find(db.session.get(User, waiting)).credit_balance == 100
        assert db.session.get(ApiKey, ids["bought"]).revoked_at is None
        assert db.session.execute(select(OutboxMail.to).filter_by(template="takeover_held")).scalar_one()


def test_several_purchases_without_an_account_are_asked_about_one_by_one(house):
    (first, kept), (second, other) = waits(house, credits=100), waits(house, credits=20)
    browser = Browser(house)
    browser.post("/password/forgot", email=VICTIM)
    path = mailed_link(house)
    assert len(fields(browser.get(path))) == 4
    with house.app_context():
        keys = db.session.execute(select(ApiKey.id).order_by(ApiKey.id)).scalars().all()
    answers = {f"purchase_{first}": "mine", f"purchase_{second}": "mine"}
    answers |= {f"key_{keys[0]}": "keep", f"key_{keys[1]}": "end"}
    assert browser.post(path, password=NEW, **answers).location == "/account"
    assert (browser.me, answer(house, kept), answer(house, other)) == (VICTIM, 200, 401)
    with house.app_context():
        assert customers.find(account(house)).credit_balance == 120
        assert [one.id for one in owners.waiting(VICTIM)] == []
