"""Rate limits for passwords, codes, and requests that send mails.

Failed password attempts count for the account and for the network address that they come from. A known place has
its own limit, which strangers cannot use up: a browser that signed in to this account before, or a network address
from which someone did within 30 days. A mailed link always lets the owner in. Attempts never delay a request in
the server.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256

from flask import Flask, current_app, request
from flask_login import current_user
from sqlalchemy import select

from portal import clock
from portal.accounts.sign_in import devices
from portal.api import rate_limits
from portal.errors import InvalidInput
from portal.extensions import client_network, db, limiter, network_of
from portal.models import User, UserSession

# Views that send mails or ask for a code.
DOORS = frozenset(
    {
        "sign_in.second_step",
        "sign_in.signup",
        "sign_in.forgot",
        "sign_in.send_verification",
        "email.change",
        "proof.claim",
        "proof.reset",
        "proof.verify",
    }
)
PER_ADDRESS = "6/minute"
TAKEN_PER_ADDRESS = "10/hour"
GUESSES = ("6/minute", "20/15 minutes", "60/hour")  # fixed windows, each from its first attempt
PER_USER = "10/15 minutes"  # of a million codes three are right, so guessing takes years
KNOWN_FOR = timedelta(days=30)  # for a network address from which someone signed in


def init_before_csrf(app: Flask) -> None:
    """Count before the CSRF check: call this before `csrf.init_app`, otherwise forged posts are not counted."""
    app.before_request(_count)


def _count() -> None:
    """Raise 429 for a form that was posted too often. Off if RATELIMIT_ENABLED is false."""
    if request.method == "POST" and request.endpoint in DOORS and current_app.config["RATELIMIT_ENABLED"]:
        with limiter.limit(PER_ADDRESS):
            pass


@contextmanager
def guess(email: str, user: User | None) -> Iterator[None]:
    """Count the block as a failed password attempt if it raises InvalidInput.

    It counts before the password is checked, so that concurrent attempts are limited too; a correct password
    restores the attempt. Raises TooManyTries before anything else.
    """
    if not current_app.config["RATELIMIT_ENABLED"]:
        yield
        return
    taken = rate_limits.take(GUESSES, *_keys("guess", email, user))
    try:
        yield
    except InvalidInput:
        raise
    except BaseException:
        taken.give_back()
        raise
    taken.give_back()


def count_mail(email: str, user: User | None) -> None:
    """Count a request for a mailed link. Raises TooManyTries. The previous link still works."""
    if current_app.config["RATELIMIT_ENABLED"]:
        rate_limits.take(GUESSES, *_keys("mail", email, user))


def count(user: User, secret: str) -> None:
    """Raise 429 if this user's secret ("code") was tried too often from anywhere, because six digits are few."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return
    with limiter.shared_limit(PER_USER, scope=secret, key_func=lambda: f"user:{user.id}"):
        pass


def count_taken() -> None:
    """Raise 429 if a client learns too often that an email has an account, which sign-up cannot hide.

    Sign-up signs in immediately, in the middle of an order, so it cannot return the same response for both cases.
    """
    if current_app.config["RATELIMIT_ENABLED"]:
        with limiter.limit(TAKEN_PER_ADDRESS):
            pass


@contextmanager
def at_least(seconds: float) -> Iterator[None]:
    """Take at least this long, so that the duration does not reveal the outcome."""
    begun = time.monotonic()
    yield
    time.sleep(max(0.0, seconds - (time.monotonic() - begun)))


def _keys(what: str, email: str, user: User | None) -> tuple[str, ...]:
    """Return the limits that an attempt counts for: the known place's own, else the account's and the network's.

    An email without an account has a limit too, so that limits do not reveal which emails have one.
    """
    place = _known_place(user) if user else ""
    if user and place:
        return (f"{what}:{user.id}:{place}",)
    return (f"{what}:{_hashed(email)}", f"{what}:network:{client_network()}")


def _known_place(user: User) -> str:
    """Return an id of the browser or network that this account knows; empty for strangers."""
    if current_user.is_authenticated and current_user.id == user.id:
        return f"session:{current_user.session.id}"
    if device := devices.current(user.id):
        return f"device:{device}"
    since = clock.now() - KNOWN_FOR
    if user.begun_anew_at:  # earlier sign-ins may not have been its owner's
        since = max(since, user.begun_anew_at)
    whole = UserSession.confirmed_at.is_not(None)  # without the second factor's code it is not a full sign-in
    mine = (UserSession.user_id == user.id, UserSession.last_seen_at > since, whole)
    addresses = db.session.execute(select(UserSession.address).where(*mine).distinct()).scalars()
    network = client_network()
    return f"network:{network}" if network in map(network_of, addresses) else ""


def _hashed(email: str) -> str:
    """Return the email as a hash, because limits are stored and logged where emails must not appear."""
    return sha256(email.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:32]
