"""Limits that stop attackers and not the owner: whatever strangers try, the owner can sign in."""

import re
import threading
from datetime import timedelta

import pytest
from werkzeug.exceptions import TooManyRequests

from portal.accounts.security import rate_limits as security_rate_limits
from portal.accounts.sign_in import devices
from portal.api import rate_limits
from portal.errors import wait_words
from portal.extensions import limiter, network_of

from .conftest import PASSWORD, mailed_path
from .limited import MAIL, Place, guess, retry
from .limited import house as house
from .limited import moment as moment

NEW = "another long password"


def test_the_windows_are_stacked_and_say_the_true_rest(house, alice, moment):
    """6 a minute, 20 in 15 minutes, 60 an hour; the page and Retry-After show the rest of the fullest window."""
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
    """They guess, and request links; the owner is at a new place, with another browser."""
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


def test_no_answer_to_a_guess_waits(house, alice):
    """Limits never delay a response: only the constant minimum of /password/forgot does."""
    found = re.findall(r"time\.sleep|\.wait\(", "".join(_sources()))
    assert found == ["time.sleep"]


def _sources():
    for module in (security_rate_limits, devices, rate_limits):
        with open(module.__file__) as file:
            yield file.read()


def test_who_asks_by_signing_up_which_mails_have_an_account_is_soon_stopped(house, alice):
    def ask(address):
        with house.test_request_context("/signup", environ_base={"REMOTE_ADDR": address}):
            security_rate_limits.count_taken()

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
