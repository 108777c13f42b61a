"""The second factor: set up, requested, used once, lost and turned off; and the repeated password."""

import re
from datetime import timedelta

import pyotp
import pytest
import time_machine
from cryptography.fernet import Fernet
from sqlalchemy import text

from portal import clock
from portal.accounts import users
from portal.accounts.security import second_factor
from portal.accounts.sign_in import sessions
from portal.extensions import db, limiter
from portal.models import User

from .conftest import PASSWORD, Browser, build

NEW = "a whole new password"
APP = "/account/second-factor/app"
CODE = re.compile(r"(?:[a-z2-9]{4}-){5}[a-z2-9]{4}")


@pytest.fixture
def frozen():
    """A clock that the test moves: codes change every thirty seconds."""
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def app_of(house, alice, browser, frozen):
    """Alice's authenticator app, set up in her browser; her recovery codes are on it too."""
    browser.sign_in()
    return enrolled(browser)


def enrolled(browser):
    assert browser.post("/account/second-factor").location == APP
    secret = re.search(r"<code[^>]*>(\w{32})</code>", browser.get(APP).text)[1]
    totp = pyotp.TOTP(secret)
    page = browser.post(APP, code=totp.at(clock.now()))
    assert page.status_code == 200, page.text
    totp.recovery = CODE.findall(page.text)
    return totp


def half_way(house):
    browser = Browser(house)
    answer = browser.sign_in(next="/keys")
    assert answer.location == "/login/code?next=/keys"
    return browser


def test_the_password_alone_opens_nothing_and_the_code_does_once(house, app_of, frozen):
    frozen.shift(timedelta(seconds=30))
    thief, friend = half_way(house), half_way(house)
    assert thief.me == "nobody"
    assert thief.get("/account").location.startswith("/login")
    code = app_of.at(clock.now())
    assert friend.post("/login/code", code=f"{code[:3]} {code[3:]}", next="/keys").location == "/keys"
    assert friend.me == "alice@example.com"
    assert thief.post("/login/code", code=code).status_code == 400
    assert thief.me == "nobody"
    assert friend.get("/login/code").location == "/login"


def test_the_code_that_turned_it_on_is_used_up(house, app_of):
    assert half_way(house).post("/login/code", code=app_of.at(clock.now())).status_code == 400


@pytest.mark.parametrize(("seconds", "status"), [(-60, 400), (-30, 303), (0, 303), (30, 303), (60, 400)])
def test_a_telephone_may_be_half_a_minute_off(house, app_of, frozen, seconds, status):
    frozen.shift(timedelta(seconds=90))
    shown = app_of.at(clock.now() + timedelta(seconds=seconds))
    assert half_way(house).post("/login/code", code=shown).status_code == status


@pytest.mark.parametrize("code", ["", "12345", "١٢٣٤٥٦", "x" * 65, "abcd-efgh", "000000 or 1=1"])
def test_what_is_no_code_is_refused_at_its_field(house, app_of, code):
    answer = half_way(house).post("/login/code", code=code)
    assert answer.status_code == 400
    assert 'id="code-error"' in answer.text


def test_the_half_way_state_ends_after_five_minutes_and_with_a_new_password(house, app_of, frozen):
    late, early = half_way(house), half_way(house)
    with house.app_context():
        users.set_password("alice@example.com", NEW)
        db.session.commit()
    assert early.get("/login/code").location == "/login"
    late.sign_in(password=NEW)
    frozen.shift(sessions.HALF_WAY + timedelta(seconds=1))
    assert late.post("/login/code", code=app_of.at(clock.now()), next="/keys").location == "/login?next=/keys"


def test_a_recovery_code_stands_in_once_however_it_is_typed(house, app_of):
    assert len(set(app_of.recovery)) == 10
    code = app_of.recovery[3]
    friend = half_way(house)
    friend.post("/login/code", code=f" {code.upper().replace('-', ' ')}")
    assert friend.me == "alice@example.com"
    assert "You have 9 left." in friend.get("/account").text
    assert half_way(house).post("/login/code", code=code).status_code == 400


def test_new_recovery_codes_make_the_old_ones_void(house, app_of, browser):
    newer = CODE.findall(browser.post("/account/second-factor/recovery-codes").text)
    assert half_way(house).post("/login/code", code=app_of.recovery[0]).status_code == 400
    assert half_way(house).post("/login/code", code=newer[0]).status_code == 303


def test_turning_it_on_ends_the_sessions_that_never_showed_a_code(house, alice, browser, frozen):
    elsewhere = Browser(house)
    elsewhere.sign_in()
    browser.sign_in()
    enrolled(browser)
    assert (browser.me, elsewhere.me) == ("alice@example.com", "nobody")


def test_it_is_not_on_before_a_code_has_proved_the_app(house, alice, browser, frozen):
    browser.sign_in()
    browser.post("/account/second-factor")
    assert browser.post(APP, code="000000").status_code == 400
    assert Browser(house).sign_in().location == "/account"
    first = browser.get(APP).text
    browser.post("/account/second-factor")
    assert browser.get(APP).text != first


def test_turning_it_off_takes_password_and_code(house, app_of, browser):
    off = "/account/second-factor/off"
    assert browser.post(off, password="wrong", code=app_of.recovery[0]).status_code == 400
    assert browser.post(off, password=PASSWORD, code="000000").status_code == 400
    assert browser.post(off, password=PASSWORD, code=app_of.recovery[0]).location == "/account/second-factor"
    assert Browser(house).sign_in().location == "/account"
    assert browser.get(off).location == "/account/second-factor"


def test_the_seed_is_encrypted_and_survives_a_change_of_keys(house, alice, browser, frozen, monkeypatch):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings = house.extensions["settings"]

    def keys(*given):
        house.extensions["settings"] = settings.model_copy(update={"encryption_key": given})

    browser.sign_in()
    totp = enrolled(browser)  # no key was set yet
    for given in ((old,), (new, old), (new,)):
        keys(*given)
        frozen.shift(timedelta(seconds=30))
        assert half_way(house).post("/login/code", code=totp.at(clock.now())).status_code == 303
    with house.app_context():
        stored = db.session.execute(text("SELECT totp_seed FROM users")).scalar_one()
        assert Fernet(new).decrypt(stored).decode() == totp.secret
        assert totp.secret not in stored
        for code in totp.recovery:
            assert code.replace("-", "") not in str(db.session.execute(text("SELECT * FROM recovery_codes")).all())
    keys(Fernet.generate_key().decode())  # all of them lost
    frozen.shift(timedelta(seconds=30))
    friend = half_way(house)
    assert friend.post("/login/code", code=totp.at(clock.now())).status_code == 400
    assert friend.post("/login/code", code=totp.recovery[0]).status_code == 303


def test_an_operator_lets_in_whoever_lost_everything(house, app_of, browser):
    answer = house.test_cli_runner().invoke(
        args=["users", "remove-second-factor", "alice@example.com", "--reason", "Lost"]
    )
    assert answer.exit_code == 0, answer.output
    assert Browser(house).sign_in().location == "/account"


def test_staff_need_it_in_production_alone(house, alice):
    with house.app_context():
        user = db.session.get(User, alice)
        assert second_factor.admin_ready(user)
        settings = house.extensions["settings"]
        house.extensions["settings"] = settings.model_copy(update={"environment": "production"})
        assert not second_factor.admin_ready(user)
        user.second_factor_at = clock.now()
        assert second_factor.admin_ready(user)


def test_what_matters_asks_for_the_password_again_after_ten_minutes(house, alice, browser, frozen):
    browser.sign_in()
    frozen.shift(sessions.RECENT + timedelta(seconds=1))
    page = {"Referer": "http://portal.test:9250/account/second-factor?next=/keys"}
    token = {"csrf_token": browser.get("/_csrf").text}
    sent = browser.client.post("/account/second-factor", data=token, headers=page)
    assert sent.location == "/account/confirm?next=/account/second-factor?next%3D/keys"
    assert browser.get(APP).location == f"/account/confirm?next={APP}"
    assert browser.post("/account/confirm", password="wrong", next=APP).status_code == 400
    assert browser.get(APP).status_code == 303
    assert browser.post("/account/confirm", password=PASSWORD, next=APP).location == APP
    assert browser.post("/account/second-factor").location == APP
    assert browser.post("/account/confirm", password=PASSWORD, next="//evil.example").location == "/account"


@pytest.fixture
def limited(settings):
    house = build(settings, limited=True)
    yield house
    limiter.reset()
    with house.app_context():
        db.engine.dispose()


def test_ten_wrong_codes_are_enough_wherever_from(limited, frozen):
    with limited.app_context():
        user = users.create("alice@example.com", "Alice", PASSWORD)
        second_factor.begin(user)
        user.second_factor_at = clock.now()
        db.session.commit()
    browser = half_way(limited)
    token = {"csrf_token": browser.get("/_csrf").text}

    def attempt(number):
        address = {"REMOTE_ADDR": f"192.0.2.{number}"}
        return browser.client.post(
            "/login/code", data=token | {"code": "000000"}, environ_base=address
        ).status_code

    assert [attempt(number) for number in range(11)] == [400] * 10 + [429]
