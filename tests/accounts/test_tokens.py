"""Tokens of the JSON API: what a pair opens, how it is renewed, and everything that ends it."""

from datetime import timedelta

import jwt
import pyotp
import pytest
import time_machine
from sqlalchemy import func, select, update

from portal import clock
from portal.accounts import people, token_pairs
from portal.extensions import db, limiter
from portal.keys import minting
from portal.models import AuditEntry, Customer, RefreshToken, User
from portal.purchases import customers

from .conftest import PASSWORD, build
from .test_second_factor import enrolled

MAIL = "alice@example.com"


class Program:
    """A client that sends JSON, and its access token once it has one."""

    def __init__(self, house):
        self.client = house.test_client()
        self.access = self.refresh = ""

    def call(self, path, body=None, *, token=None):
        headers = {"Authorization": f"Bearer {token or self.access}"} if token or self.access else {}
        method = "GET" if body is None else "POST"
        return self.client.open(path, method=method, json=body, headers=headers)

    def sign_in(self, **body):
        answer = self.call("/api/auth/token", {"email": MAIL, "password": PASSWORD} | body)
        return self.keep(answer)

    def renew(self):
        return self.keep(self.call("/api/auth/refresh", {"refresh_token": self.refresh}))

    def keep(self, answer):
        if answer.status_code == 200:
            self.access, self.refresh = answer.json["access_token"], answer.json["refresh_token"]
        return answer

    @property
    def status(self):
        """What a call with its access token is answered."""
        return self.call("/api/v1/entitlements").status_code


@pytest.fixture
def program(house, alice):
    made = Program(house)
    assert made.sign_in().status_code == 200
    return made


def refused(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == code


def test_a_password_buys_a_pair_that_opens_the_api_in_live_mode(house, alice):
    program = Program(house)
    answer = program.sign_in()
    assert answer.json.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("bearer", 900)
    facts = program.call("/api/v1/entitlements").json
    assert (facts["mode"], facts["tier"]) == ("live", "free")
    assert program.call("/api/credits/balance").json["balance"] == 0
    assert program.call("/api/v1/billing/subscription").json["plan"] == "free"
    refused(program.call("/v1/receipt"), 401, "unauthorised")


def test_every_failure_to_sign_in_reads_the_same(house, alice):
    with house.app_context():
        people.create("unclaimed@example.com")
        db.session.commit()
    program = Program(house)
    answers = [
        program.sign_in(password="not the one"),
        program.sign_in(email="nobody@example.com"),
        program.sign_in(email="unclaimed@example.com"),
        program.sign_in(email="ALICE@EXAMPLE.com", password=PASSWORD + " "),
    ]
    for answer in answers:
        refused(answer, 401, "sign_in_failed")
    assert len({(one.json["title"], one.json["detail"]) for one in answers}) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": MAIL}, "password"),
        ({"email": 1, "password": "x"}, "email"),
        ({"email": MAIL, "password": "x" * 5000}, "password"),
        ({"email": MAIL, "password": "x", "remember": True}, "remember"),
    ],
)
def test_bad_input_is_refused_by_name(house, body, field):
    answer = Program(house).call("/api/auth/token", body)
    refused(answer, 400, "invalid_input")
    assert field in answer.json["errors"]


def test_the_second_factor_is_asked_for_and_taken_once(house, alice, browser):
    with time_machine.travel(clock.now(), tick=False) as frozen:
        browser.sign_in()
        app: pyotp.TOTP = enrolled(browser)
        frozen.shift(timedelta(seconds=30))
        program = Program(house)
        refused(program.sign_in(password="wrong", code=app.at(clock.now())), 401, "sign_in_failed")
        refused(program.sign_in(), 401, "second_factor_required")
        refused(program.sign_in(code="000000"), 400, "wrong_code")
        assert program.sign_in(code=app.at(clock.now())).status_code == 200
        refused(program.sign_in(code=app.at(clock.now())), 400, "wrong_code")
        assert program.status == 200


def test_an_access_token_lives_fifteen_minutes_and_a_refresh_gives_the_next(program):
    with time_machine.travel(clock.now() + timedelta(minutes=16)):
        assert program.status == 401
        assert program.renew().status_code == 200
        assert program.status == 200
    with time_machine.travel(clock.now() + timedelta(days=8)):
        refused(program.renew(), 401, "refresh_refused")


def test_a_session_that_is_refreshed_goes_on_for_months(program):
    now = clock.now()
    for day in range(0, 90, 6):
        with time_machine.travel(now + timedelta(days=day)):
            assert program.renew().status_code == 200
            assert program.status == 200


def test_a_refresh_token_used_twice_ends_the_whole_sign_in_and_no_other(house, program):
    other = Program(house)
    other.sign_in()
    stolen = program.refresh
    program.renew()
    thief = Program(house)
    thief.refresh = stolen
    refused(thief.renew(), 401, "refresh_refused")
    assert program.status == 401
    refused(program.renew(), 401, "refresh_refused")
    assert other.status == 200
    with house.app_context():
        assert (
            db.session.execute(select(func.count()).where(AuditEntry.action == "session.stolen")).scalar_one() == 1
        )


def test_each_kind_of_token_is_good_for_its_own_door(house, program):
    assert program.call("/api/v1/entitlements", token=program.refresh).status_code == 401
    refused(program.call("/api/auth/refresh", {"refresh_token": program.access}), 401, "refresh_refused")


def test_forged_tokens_open_nothing(house, program):
    claims = jwt.decode(program.access, options={"verify_signature": False})
    for forged in (
        program.access[:-2],
        jwt.encode(claims, "another-secret-0123456789abcdef0123456789", "HS256"),
        jwt.encode(claims, None, "none"),
        jwt.encode(claims | {"session": 10**9}, house.config["JWT_SECRET_KEY"], "HS256"),
        "a.b.c",
        "é" * 40,
    ):
        answer = program.client.get(
            "/api/v1/entitlements", headers={"Authorization": f"Bearer {forged}".encode().decode("latin-1")}
        )
        assert answer.status_code == 401, forged


@pytest.mark.parametrize("way", ["everywhere", "password", "reset", "one"])
def test_signing_out_and_a_new_password_end_it(house, alice, browser, program, way):
    browser.sign_in()
    if way == "reset":
        with house.app_context():
            people.set_password(MAIL, "a whole new password")
            db.session.commit()
    elif way == "password":
        browser.post("/account/password", current=PASSWORD, password="a whole new password")
    elif way == "everywhere":
        browser.post("/account/sessions/end")
    else:
        assert "A program, by the API" in browser.get("/account").text
        browser.post("/account/sessions/1/end")
    assert program.status == 401
    refused(program.renew(), 401, "refresh_refused")


def test_no_cookie_can_be_made_of_a_program_s_session(house, program):
    assert program.client.get_cookie("session") is None
    assert program.client.get("/_me").text == "nobody"


def test_tokens_are_kept_as_hashes_and_forgotten_once_expired(house, program):
    program.renew()
    with house.app_context():
        kept = db.session.execute(select(RefreshToken)).scalars().all()
        jti = jwt.decode(program.refresh, options={"verify_signature": False})["jti"]
        assert len(kept) == 2
        assert jti not in {row.jti_hash for row in kept}
        assert token_pairs.sweep() == 0
        with time_machine.travel(clock.now() + timedelta(days=8)):
            assert token_pairs.sweep() == 2


def test_a_suspended_person_can_see_to_the_payment_and_not_spend(house, alice, program):
    with house.app_context():
        db.session.execute(update(Customer).values(suspended_at=clock.now()))
        _, key = minting.mint(customers.of(db.session.get(User, alice)), "Server")
        db.session.commit()
    assert program.call("/api/v1/entitlements").json["status"] == "suspended"
    spend = {"amount": 1, "reference": "r"}
    refused(program.call("/api/credits/spend", spend), 402, "suspended")
    refused(program.call("/api/v1/entitlements", token=key), 402, "suspended")


def test_tries_are_limited_by_address_and_by_mail(settings):
    house = build(settings, limited=True)
    try:
        program = Program(house)
        answers = [program.sign_in(password="wrong").status_code for _ in range(7)]
        assert answers == [401] * 6 + [429]
        limiter.reset()
        body = {"email": f" {MAIL.upper()}", "password": "wrong"}
        for n in range(11):
            last = program.client.post("/api/auth/token", json=body, environ_base={"REMOTE_ADDR": f"192.0.2.{n}"})
        assert last.status_code == 429
    finally:
        limiter.reset()
        with house.app_context():
            db.engine.dispose()
