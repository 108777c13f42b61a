"""Which passwords are accepted, and how they are stored."""

import pytest
from argon2 import PasswordHasher

from portal.accounts import users
from portal.accounts.security import passwords
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import User

from .conftest import PASSWORD

GOOD = ["correct horse battery", "  spaces kept  ", "密码密码密码密码", "x" * 128 + "y", "😀" * 8, "kein-Zwang"]
BAD = [
    "",
    "short",
    "7 chars",
    "password",
    "PASSWORD",
    "iloveyou",
    "12345678",
    "Alice@Example.com",
    "alice-2026",
    "Portal123!",
    "1234example",
    "x" * 1025,
]


@pytest.mark.parametrize("password", GOOD)
def test_long_enough_is_good_enough(password):
    passwords.check(password, "alice@example.com")
    assert passwords.verify(passwords.hash(password), password)


@pytest.mark.parametrize("password", BAD)
def test_poor_passwords_are_refused_at_their_field(password):
    with pytest.raises(InvalidInput) as refused:
        passwords.check(password, "alice@example.com")
    assert set(refused.value.errors) == {"password"}


def test_nothing_is_trimmed():
    assert not passwords.verify(passwords.hash(" surrounded "), "surrounded")


def test_what_is_shipped_costs_what_owasp_asks_for():
    assert passwords.SHIPPED.hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_hashes_are_argon2id_and_salted():
    assert passwords.hash(PASSWORD).startswith("$argon2id$")
    assert passwords.hash(PASSWORD) != passwords.hash(PASSWORD)


def test_without_a_stored_hash_nothing_fits_and_the_hash_is_computed_all_the_same(monkeypatch):
    checked = []
    monkeypatch.setattr(passwords, "HASHER", _Counting(checked))
    assert passwords.verify(None, PASSWORD) is False
    assert len(checked) == 1


def test_a_hash_of_older_parameters_is_renewed_at_sign_in(house, alice, browser):
    with house.app_context():
        weaker = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
        db.session.get(User, alice).password_hash = weaker.hash(PASSWORD)
        db.session.commit()
    browser.sign_in()
    with house.app_context():
        assert not passwords.is_outdated(users.find("alice@example.com").password_hash)


class _Counting:
    def __init__(self, checked):
        self.checked, self.real = checked, passwords.HASHER

    def verify(self, stored, password):
        self.checked.append(stored)
        return self.real.verify(stored, password)

    def hash(self, password):
        return self.real.hash(password)
