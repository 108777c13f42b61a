"""Limits that stop who guesses, and not the owner: whatever strangers try, the owner gets in."""

import re
import threading
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update
from werkzeug.exceptions import TooManyRequests

from portal import clock, rates
from portal.accounts import devices, limits
from portal.breaker import Breaker
from portal.errors import wait_words
from portal.extensions import db, limiter, network_of
from portal.models import KnownDevice, User, UserSession

from .conftest import PASSWORD, Browser, build, mailed_path

MAIL = "alice@example.com"
NEW = "another long password"


@pytest.fixture
def house(settings, monkeypatch):
    monkeypatch.setattr(rates, "_breaker", Breaker())  # other tests stop Redis, and it is then left alone a while
    house = build(settings, limited=True)
    yield house
    limiter.reset()
    with house.app_context():
        db.engine.dispose()


@pytest.fixture
def moment():
    """A clock that stands still until a test moves it."""
    with time_machine.travel(clock.now().replace(second=0, microsecond=0), tick=False) as travel:
        limiter.reset()
        yield travel


class Place(Browser):
    """A browser at a network address."""

    def __init__(self, app, address):
        super().__init__(app)
        self.client.environ_base["REMOTE_ADDR"] = address

    def token(self, password=PASSWORD, email=MAIL):
        """Sign in as a program does."""
        return self.client.post("/api/auth/token", json={"email": email, "password": password})

    @property
    def cookie(self):
        found = self.client.get_cookie("device")
        return found and found.value


def guess(house, number, times=1, email=MAIL):
    """Wrong passwords, each from an address of its own: the last answer."""
    for n in range(times):
        last = Place(house, f"198.51.{number + n >> 8 & 255}.{number + n & 255}").sign_in(email, "wrong password")
    return last


def retry(answer):
    assert answer.status_code == 429, answer.status_code
    return int(answer.headers["Retry-After"])


def test_the_windows_are_stacked_and_say_the_true_rest(house, alice, moment):
    """6 a minute, 20 in 15 minutes, 60 an hour; the fullest window's rest on the page and in Retry-After."""
    tried, refusals = 0, []
    for minute in range(60):
        answer = guess(house, 10 * minute)
        while answer.status_code == 401:
            tried += 1
            answer = guess(house, tried)
        refusals.append((minute, tried, retry(answer)))
        moment.shift(timedelta(minutes=1))
    assert refusals[0] == (0, 6, 60)
    assert refusals[2] == (2, 18, 60)
    assert refusals[3] == (3, 20, 12 * 60)
    assert refusals[14] == (14, 20, 60)
    assert refusals[59] == (59, 60, 60)
    assert all(tried <= 60 for _, tried, _ in refusals)
    page = guess(house, 5000, 7)
    assert "Try again in 60 seconds." in page.text
    assert "Email me a link" in page.text


def test_the_page_says_minutes_where_it_is_minutes(house, alice, moment):
    for _ in range(4):
        answer = guess(house, 0, 7)
        moment.shift(timedelta(minutes=1))
    assert retry(answer) == 12 * 60
    assert "Try again in 12 minutes." in answer.text
    body = Place(house, "198.51.100.9").token("wrong").json
    assert body["detail"].startswith("Try again in 11 minutes.")


def test_strangers_stop_neither_a_known_browser_nor_a_known_network(house, alice, moment):
    laptop = Place(house, "192.0.2.1")
    laptop.sign_in()
    laptop.post("/logout")
    laptop.client.environ_base["REMOTE_ADDR"] = "203.0.113.77"  # a café
    retry(guess(house, 0, 7))
    retry(Place(house, "203.0.113.78").sign_in())  # the right password from nowhere known
    assert Place(house, "192.0.2.1").token().status_code == 200
    assert laptop.sign_in().status_code == 303
    assert laptop.me == MAIL


def test_a_network_is_known_for_thirty_days(house, alice, moment):
    Place(house, "192.0.2.1").sign_in()
    moment.shift(timedelta(days=29))
    retry(guess(house, 0, 7))
    assert Place(house, "192.0.2.1").token().status_code == 200
    moment.shift(timedelta(days=31))
    retry(guess(house, 0, 7))
    retry(Place(house, "192.0.2.1").sign_in())


def test_programs_are_known_by_their_network_and_ipv6_by_its_half(house, alice, moment):
    first = Place(house, "2001:db8:1:2::1").token()
    retry(guess(house, 0, 7))
    assert Place(house, "2001:db8:1:2:ffff::9").token().status_code == 200
    retry(Place(house, "2001:db8:1:3::1").token())
    renewed = Place(house, "2001:db8:9::1").client.post(
        "/api/auth/refresh", json={"refresh_token": first.json["refresh_token"]}
    )
    assert renewed.status_code == 200
    assert Place(house, "2001:db8:9::7").token().status_code == 200  # where it was refreshed from


def test_the_budget_of_a_known_place_is_its_own_and_has_an_end(house, alice, moment):
    known = Place(house, "192.0.2.1")
    known.sign_in()
    known.post("/logout")
    neighbor = Place(house, "192.0.2.1")  # behind the same address, another browser
    assert [neighbor.token("wrong").status_code for _ in range(7)] == [401] * 6 + [429]
    assert retry(neighbor.token()) == 60
    assert known.sign_in().status_code == 303
    known.post("/logout")
    assert [known.sign_in(password="wrong").status_code for _ in range(7)] == [401] * 6 + [429]
    assert Place(house, "198.51.100.1").sign_in().status_code == 303  # strangers have theirs


def test_a_page_and_a_token_call_share_one_budget(house, alice, moment):
    for n in range(3):
        assert guess(house, n).status_code == 401
        assert Place(house, f"203.0.113.{n}").token("wrong").status_code == 401
    retry(guess(house, 10))
    retry(Place(house, "203.0.113.10").token())


def test_an_address_that_tries_many_accounts_is_stopped(house, alice, moment):
    sprayer = Place(house, "192.0.2.9")
    answers = [sprayer.sign_in(f"user{n}@example.com", "wrong").status_code for n in range(7)]
    assert answers == [401] * 6 + [429]
    assert sprayer.token("wrong", "user99@example.com").status_code == 429


def test_an_email_without_an_account_is_limited_alike(house, alice, moment):
    for email in (MAIL, "nobody@example.com"):
        limiter.reset()
        assert retry(guess(house, 0, 7, email)) == 60


def test_right_passwords_use_nothing_up(house, alice, moment):
    for n in range(30):
        assert Place(house, f"192.0.2.{n}").sign_in().status_code == 303
        assert Place(house, "203.0.113.5").token().status_code == 200


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(house, alice):
    answers = []

    def one(number):
        answers.append(Place(house, f"198.51.100.{number}").token("wrong").status_code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [401] * 6 + [429] * 18


def test_a_mailed_link_gets_the_owner_in_whatever_strangers_do(house, alice, moment):
    """They guess, and ask for links themselves; the owner sits somewhere new, with another browser."""
    retry(guess(house, 0, 7))
    for n in range(8):
        last = Place(house, f"198.51.100.{n}").post("/password/forgot", email=MAIL)
    retry(last)
    owner = Place(house, "203.0.113.1")
    path = mailed_path(house)
    assert path.startswith("/password/reset/")
    answer = owner.post(path, password=NEW)
    assert answer.status_code == 303
    moment.shift(timedelta(minutes=1))
    assert owner.me == MAIL or owner.sign_in(password=NEW).status_code == 303


def test_the_owner_asks_for_a_link_from_a_known_place_whatever_strangers_do(house, alice, moment):
    known = Place(house, "192.0.2.1")
    known.sign_in()
    known.post("/logout")
    retry([Place(house, f"198.51.100.{n}").post("/password/forgot", email=MAIL) for n in range(7)][-1])
    assert known.post("/password/forgot", email=MAIL).status_code == 303


def test_a_refresh_is_never_counted_against_guesses(house, alice, moment):
    program = Place(house, "192.0.2.1")
    pair = program.token().json
    retry([program.token("wrong") for _ in range(7)][-1])
    for _ in range(10):
        answer = program.client.post("/api/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        assert answer.status_code == 200
        pair = answer.json


def test_asking_for_the_password_again_is_limited_for_that_session_alone(house, alice, moment):
    thief, owner = Place(house, "192.0.2.1"), Place(house, "192.0.2.1")
    thief.sign_in()
    owner.sign_in()
    assert [thief.post("/account/confirm", password="wrong").status_code for _ in range(7)] == [400] * 6 + [429]
    assert owner.post("/account/confirm", password=PASSWORD).status_code == 303


def test_the_device_cookie_changes_with_each_sign_in_and_opens_nothing(house, alice):
    browser = Place(house, "192.0.2.1")
    browser.sign_in()
    first = browser.cookie
    with house.app_context():
        row = db.session.execute(select(KnownDevice)).scalar_one()
        assert first not in (row.token_hash, "")
        db.session.commit()
    browser.post("/logout")
    assert browser.cookie == first
    browser.sign_in()
    assert browser.cookie != first
    stranger = Place(house, "198.51.100.1")
    stranger.client.set_cookie("device", browser.cookie)
    assert stranger.me == "nobody"


def test_a_cookie_that_somebody_planted_tells_them_nothing_and_uses_nothing_up(house, alice, moment):
    owner, attacker = Place(house, "192.0.2.1"), Place(house, "198.51.100.1")
    for one in (owner, attacker):
        one.client.set_cookie("device", "A" * 43)
    owner.sign_in()
    assert owner.cookie != "A" * 43
    with house.test_request_context("/login", headers={"Cookie": f"device={'A' * 43}"}):
        assert devices.current(alice) == ""
    for junk in ("", "x", "A" * 44, "é" * 43, "A" * 4000):
        attacker.client.set_cookie("device", junk)
        assert attacker.get("/login").status_code == 200


def test_one_browser_is_known_to_every_account_that_signed_in_with_it(house, alice):
    browser = Place(house, "192.0.2.1")
    browser.post("/signup", email="bob@example.com", password=NEW, name="")
    browser.post("/logout")
    browser.sign_in()
    with house.app_context():
        rows = db.session.execute(select(KnownDevice.user_id, KnownDevice.token_hash)).all()
        assert len({user_id for user_id, _ in rows}) == 2
        assert len({token_hash for _, token_hash in rows}) == 1
        devices.forget(db.session.get(User, alice))
        db.session.commit()
        assert len(db.session.execute(select(KnownDevice)).all()) == 1
        db.session.execute(update(KnownDevice).values(seen_at=clock.now() - timedelta(days=401)))
        db.session.commit()
        assert devices.sweep() == 1


def test_a_password_without_its_code_makes_no_place_known(house, alice, moment):
    with house.app_context():
        db.session.get(User, alice).second_factor_at = clock.now()
        db.session.commit()
    half = Place(house, "192.0.2.1")
    half.sign_in()
    assert half.cookie is None
    with house.app_context():
        assert db.session.execute(select(UserSession.confirmed_at)).scalar_one() is None
    retry(guess(house, 0, 7))
    retry(Place(house, "192.0.2.1").token())


def test_no_answer_to_a_guess_waits(house, alice):
    """Limits sleep for nobody: only the constant floor of /password/forgot does."""
    found = re.findall(r"time\.sleep|\.wait\(", "".join(_sources()))
    assert found == ["time.sleep"]


def _sources():
    for module in (limits, devices, rates):
        with open(module.__file__) as file:
            yield file.read()


def test_who_asks_by_signing_up_which_mails_have_an_account_is_soon_stopped(house, alice):
    def ask(address):
        with house.test_request_context("/signup", environ_base={"REMOTE_ADDR": address}):
            limits.count_taken()

    for _ in range(10):
        ask("192.0.2.1")
    ask("192.0.2.2")
    with pytest.raises(TooManyRequests):
        ask("192.0.2.1")


def test_posts_without_a_token_to_what_sends_mails_count_too(house, alice):
    browser = Place(house, "192.0.2.1")
    for _ in range(6):
        assert browser.client.post("/password/forgot", data={"email": "x@example.com"}).status_code == 400
    assert 0 < retry(browser.post("/password/forgot", email=MAIL)) <= 60
    assert browser.get("/password/forgot").status_code == 200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (3600, "60 minutes"),
        (7200, "2 hours"),
        (7201, "3 hours"),
    ],
)
def test_waits_are_told_in_words_and_never_too_short(seconds, words):
    assert wait_words(seconds) == words


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::", "2001:db8::/64"),
        (None, "unknown"),
        ("not one", "not one"),
    ],
)
def test_a_network_is_an_ipv4_address_or_half_an_ipv6_one(address, network):
    assert network_of(address) == network
