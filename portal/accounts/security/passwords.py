"""Passwords: strength, storage, and verification in constant time."""

import re
import secrets
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portal.errors import InvalidInput

MIN_LENGTH = 8
MAX_LENGTH = 1024  # far longer than any passphrase; limits what hashing reads
COMMON = Path(__file__).parent / "common_passwords.txt"

# argon2id with 19 MiB, two passes, one lane: OWASP's Password Storage Cheat Sheet.
SHIPPED = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
HASHER = SHIPPED  # tests replace it with a cheaper one


def check(password: str, email: str) -> None:
    """Raise InvalidInput about the field `password` unless it is long enough and hard to guess.

    All characters are allowed and none are trimmed, and there are no rules about character classes (NIST SP
    800-63B).
    """
    if len(password) < MIN_LENGTH:
        raise _refused(f"Use at least {MIN_LENGTH} characters. A few words in a row are easy to remember.")
    if len(password) > MAX_LENGTH:
        raise _refused(f"Use at most {MAX_LENGTH} characters.")
    if password.casefold() == email.casefold() or _letters(password) in _context(email):
        raise _refused("Use something else than your email address or our name, digits behind it or not.")
    if password.lower() in _common():
        raise _refused("This password is among the most used ones and is guessed at once. Choose another.")


def hash(password: str) -> str:
    """Return the argon2id hash to store. It takes tens of milliseconds: call it with no transaction open."""
    return HASHER.hash(_bytes(password))


def verify(stored: str | None, password: str) -> bool:
    """Return whether the password matches. Without a stored hash it never does, and takes the same time."""
    try:
        fits = HASHER.verify(stored or _nobodys(), _bytes(password))
    except (VerificationError, InvalidHashError):
        return False
    return fits and stored is not None


def is_outdated(stored: str) -> bool:
    """Return whether a hash was made with other parameters than the current ones."""
    return HASHER.check_needs_rehash(stored)


def generate() -> str:
    """Return a random password of 96 bits, for the accounts of the first start."""
    return secrets.token_urlsafe(12)


def _context(email: str) -> set[str]:
    """Return what an attacker would try first for this account (ASVS 6.2.11): parts of its address, and our
    name.
    """
    return {_letters(part) for part in re.split(r"[@.+_-]", email)} | {"portal", _letters(email)}


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalpha())


def _refused(words: str) -> InvalidInput:
    return InvalidInput(words, errors={"password": words})


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")  # JSON can contain half a surrogate pair


@cache
def _nobodys() -> str:
    return HASHER.hash(secrets.token_bytes(16))


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
