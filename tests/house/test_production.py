"""What holds in production alone, tried on the whole portal: cookies, HTTPS, and the second factor of staff."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf

from portal import clock, create_app
from portal.accounts import people
from portal.extensions import db
from portal.models import User
from portal.settings import load
from tests.support.reading import PRODUCTION

BASE = PRODUCTION["BASE_URL"]
PASSWORD = "correct horse battery staple"


@pytest.fixture
def production(tmp_path):
    """The portal in production, without a Stripe that would answer."""
    app = create_app(load(PRODUCTION | {"INSTANCE_PATH": str(tmp_path)}, env_file=None))
    app.config.update(TESTING=True, RATELIMIT_ENABLED=False)
    app.add_url_rule("/_csrf", "csrf", generate_csrf)
    with app.app_context():
        db.create_all()
        for name, role in (("alice", "customer"), ("ada", "admin"), ("sue", "support")):
            made = people.create(f"{name}@example.com", name.capitalize(), PASSWORD, role=role)
            assert made is not None
            made.verified_at = clock.now()
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


def browser(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    return client


def signed_in(app: Flask, name: str) -> FlaskClient:
    client = browser(app)
    answer = post(client, "/login", email=f"{name}@example.com", password=PASSWORD)
    assert answer.status_code == 303
    return client


def post(client: FlaskClient, path: str, **data: str):
    given = {"csrf_token": client.get("/_csrf").text, **data}
    return client.post(path, data=given, headers={"Referer": f"{BASE}/"})


def test_every_cookie_is_bound_to_the_host_and_hidden_from_scripts(production: Flask) -> None:
    client = browser(production)
    client.get("/login")
    answer = post(client, "/login", email="alice@example.com", password=PASSWORD)
    sent = answer.headers.getlist("Set-Cookie")
    assert {cookie.split("=")[0] for cookie in sent} == {"__Host-session", "__Host-device"}
    for cookie in sent:
        flags = {part.strip() for part in cookie.split(";")[1:]}
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= flags, cookie
        assert not [flag for flag in flags if flag.startswith("Domain")]


def test_every_answer_asks_for_https_for_a_year(production: Flask) -> None:
    client = browser(production)
    for rule in production.url_map.iter_rules():
        if rule.arguments or "GET" not in (rule.methods or ()):
            continue
        header = client.get(rule.rule).headers["Strict-Transport-Security"]
        assert header == "max-age=31536000; includeSubDomains", rule


@pytest.mark.parametrize("name", ["ada", "sue"])
def test_staff_without_a_second_factor_are_led_to_it_from_every_address(production: Flask, name: str) -> None:
    client = signed_in(production, name)
    path = production.extensions["settings"].admin_path
    seen = 0
    for rule in production.url_map.iter_rules():
        if not rule.rule.startswith(path) or rule.arguments:
            continue
        for method in {"GET", "POST"} & (rule.methods or set()):
            answer = client.get(rule.rule) if method == "GET" else post(client, rule.rule)
            assert (answer.status_code, answer.location) == (303, "/account/second-factor"), (method, rule)
            seen += 1
    assert seen > 8
    assert client.get("/api/admin/billing-test?user=alice@example.com").status_code == 404
    sent = {"email": f"{name}@example.com", "password": PASSWORD}
    token = client.post("/api/auth/token", json=sent).json["access_token"]
    for method in ("GET", "POST"):
        answer = browser(production).open(
            "/api/admin/billing-test", method=method, json={}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 404


def test_an_admin_with_a_second_factor_cannot_come_in_by_the_password_alone(production: Flask) -> None:
    with production.app_context():
        ada = db.session.execute(db.select(User).filter_by(email="ada@example.com")).scalar_one()
        ada.second_factor_at = clock.now()
        db.session.commit()
    client = signed_in(production, "ada")
    assert client.get("/admin").status_code == 404
    sent = {"email": "ada@example.com", "password": PASSWORD}
    answer = browser(production).post("/api/auth/token", json=sent)
    assert (answer.status_code, answer.json["code"]) == (401, "second_factor_required")


def test_a_session_that_somebody_planted_is_not_the_one_that_is_signed_in(production: Flask) -> None:
    """Session fixation: with a cookie of the attacker's, or his CSRF token, in the victim's browser."""
    attacker, victim = browser(production), browser(production)
    token = attacker.get("/_csrf").text
    planted = attacker.get_cookie("__Host-session")
    victim.set_cookie("__Host-session", planted.value, secure=True)
    answer = victim.post(
        "/login",
        data={"csrf_token": token, "email": "alice@example.com", "password": PASSWORD},
        headers={"Referer": f"{BASE}/"},
    )
    assert answer.status_code == 303
    assert victim.get("/account").status_code == 200
    mine = victim.get_cookie("__Host-session")
    assert mine.value != planted.value
    assert attacker.get("/account").status_code == 303
    forged = victim.post("/logout", data={"csrf_token": token}, headers={"Referer": f"{BASE}/"})
    assert forged.status_code == 400
    assert victim.get("/account").status_code == 200


def test_half_a_sign_in_that_somebody_planted_opens_nothing_with_another_s_password(production: Flask) -> None:
    """The attacker, half signed in to his own account, leaves his cookie; the victim signs in over it."""
    with production.app_context():
        sue = db.session.execute(db.select(User).filter_by(email="sue@example.com")).scalar_one()
        sue.second_factor_at = clock.now()
        db.session.commit()
    attacker = signed_in(production, "sue")
    planted = attacker.get_cookie("__Host-session")
    victim = browser(production)
    victim.set_cookie("__Host-session", planted.value, secure=True)
    assert post(victim, "/login", email="alice@example.com", password=PASSWORD).status_code == 303
    assert "alice@example.com" in victim.get("/account").text
    assert attacker.get("/account").status_code == 303
    answer = attacker.get("/login/code")
    assert answer.status_code == 303  # his own half is over too: the victim's sign-in ended it
