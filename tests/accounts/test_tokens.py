"""Tokens of the JSON API: what a pair can access, how it is renewed, and everything that revokes it."""

import base64
from datetime import timedelta

import jwt
import pyotp
import pytest
import time_machine
from sqlalchemy import func, select, update

from portal import clock
from portal.accounts import users
from portal.accounts.sign_in import token_pairs
from portal.customers import stripe_customers
from portal.extensions import db, limiter
from portal.keys import api_keys
from portal.models import AuditEntry, Customer, RefreshToken, User, UserSession

from .conftest import PASSWORD
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
        """Return the status of a call with its access token."""
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
        users.create("unclaimed@example.com")
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
            users.set_password(MAIL, "a whole new password")
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
        _, key = api_keys.mint(stripe_customers.of(db.session.get(User, alice)), "Server")
        db.session.commit()
    assert program.call("/api/v1/entitlements").json["status"] == "suspended"
    spend = {"amount": 1, "reference": "r"}
    refused(program.call("/api/credits/spend", spend), 402, "suspended")
    refused(program.call("/api/v1/entitlements", token=key), 402, "suspended")


@pytest.mark.parametrize("body", ["[" * 100_000, '{"email":' * 50_000, '{"email": ' + "[" * 100_000, "[", "\xff"])
@pytest.mark.parametrize("limited", [False, True])
def test_a_body_nested_beyond_reason_is_bad_json(house, alice, limited, body):
    """It also applies to the code that counts attempts before the body is validated."""
    house.config["RATELIMIT_ENABLED"] = limited
    limiter.reset()
    for path in ("/api/auth/token", "/api/auth/refresh"):
        answer = house.test_client().post(path, data=body.encode("latin-1"), content_type="application/json")
        refused(answer, 400, "invalid_input")


FOREIGN = {
    "of the old system": {"sub": "1", "user_id": 1},
    "no session": {"sub": "1", "type": "access", "jti": "a", "session": None},
    "no kind": {"sub": "1", "jti": "a", "session": 1},
    "no subject": {"type": "access", "jti": "a", "session": 1},
    "a subject that is a word": {"sub": "alice@example.com", "type": "access", "jti": "a", "session": 1},
    "another subject": {"sub": "999", "type": "access", "jti": "a", "session": 1},
    "no id": {"sub": "1", "type": "access", "session": 1},
    "an id that is a number": {"sub": "1", "type": "access", "session": 1, "jti": 7},
    "a session that is a word": {"sub": "1", "type": "access", "jti": "a", "session": "1"},
    "a session that is true": {"sub": "1", "type": "access", "jti": "a", "session": True},
    "a session that is an object": {"sub": "1", "type": "access", "jti": "a", "session": {"id": 1}},
    "a session beyond all numbers": {"sub": "1", "type": "access", "jti": "a", "session": 10**30},
    "a session below zero": {"sub": "1", "type": "access", "jti": "a", "session": -1},
    "no end": {"sub": "1", "type": "access", "jti": "a", "session": 1, "exp": None},
}


@pytest.mark.parametrize("claims", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_rightly_signed_token_with_other_claims_opens_nothing(house, program, claims):
    """Tokens of an old system whose JWT_SECRET_KEY was taken over; the program is session 1 of user 1."""
    with house.app_context():
        session = db.session.execute(select(UserSession)).scalar_one()
        assert (session.id, session.user_id) == (1, 1)
    given = {"exp": clock.now() + timedelta(hours=1)} | claims
    given = {name: value for name, value in given.items() if value is not None}
    secret = house.config["JWT_SECRET_KEY"]
    refused(program.call("/api/v1/entitlements", token=jwt.encode(given, secret)), 401, "unauthorised")
    for kind in (given.get("type"), "refresh"):
        token = jwt.encode(given | ({"type": kind} if kind else {}), secret)
        refused(program.call("/api/auth/refresh", {"refresh_token": token}), 401, "refresh_refused")
    assert program.status == 200


def test_a_token_whose_header_is_nested_beyond_reason_is_no_token(house, program):
    head = base64.urlsafe_b64encode(b"[" * 3000).rstrip(b"=").decode()
    refused(program.call("/api/v1/entitlements", token=f"{head}.e30.x"), 401, "unauthorised")
    refused(program.call("/api/auth/refresh", {"refresh_token": f"{head[:4000]}.e30.x"}), 401, "refresh_refused")
