"""How often passwords and codes may be tried, and how often what sends mails may be asked for.

Failed tries of a password count for the account and for the network address that they come from. A known place has
a budget of its own, which strangers cannot use up: a browser that signed in to this account before, or a network
address from which somebody did within 30 days. A mailed link gets the owner in from anywhere. Guesses make no
request wait in the server.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256

from flask import Flask, current_app, request
from flask_login import current_user
from sqlalchemy import select

from portal import clock, rates
from portal.accounts import devices
from portal.errors import InvalidInput
from portal.extensions import client_network, db, limiter, network_of
from portal.models import User, UserSession

# They send mails, or ask for a code.
DOORS = frozenset(
    {
        "accounts.second_step",
        "accounts.signup",
        "accounts.forgot",
        "accounts.send_verification",
        "email.change",
        "proof.claim",
        "proof.reset",
        "proof.verify",
    }
)
PER_ADDRESS = "6/minute"
TAKEN_PER_ADDRESS = "10/hour"
GUESSES = ("6/minute", "20/15 minutes", "60/hour")  # fixed windows, each from its first try
PER_USER = "10/15 minutes"  # of a million codes, of which three are right: years of guessing
KNOWN_FOR = timedelta(days=30)  # a network address from which somebody signed in


def init_before_csrf(app: Flask) -> None:
    """Count ahead of the CSRF check: call this before `csrf.init_app`, else forged posts are tries for free."""
    app.before_request(_count)


def _count() -> None:
    """Raise 429 for a post to a door that was tried too often. Off with RATELIMIT_ENABLED false."""
    if request.method == "POST" and request.endpoint in DOORS and current_app.config["RATELIMIT_ENABLED"]:
        with limiter.limit(PER_ADDRESS):
            pass


@contextmanager
def guess(email: str, user: User | None) -> Iterator[None]:
    """Count what is done inside as a failed try of a password where it raises InvalidInput.

    It counts before the password is checked, so that many at once are no more than one after the other; a right
    password gives the try back. Raises TooManyTries, ahead of everything else.
    """
    if not current_app.config["RATELIMIT_ENABLED"]:
        yield
        return
    taken = rates.take(GUESSES, *_keys("guess", email, user))
    try:
        yield
    except InvalidInput:
        raise
    except BaseException:
        taken.give_back()
        raise
    taken.give_back()


def count_mail(email: str, user: User | None) -> None:
    """Count a mail with a link that is asked for. Raises TooManyTries. The last link of before still works."""
    if current_app.config["RATELIMIT_ENABLED"]:
        rates.take(GUESSES, *_keys("mail", email, user))


def count(user: User, secret: str) -> None:
    """Raise 429 where this user's secret ("code") was tried too often, wherever from: six digits are few."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return
    with limiter.shared_limit(PER_USER, scope=secret, key_func=lambda: f"user:{user.id}"):
        pass


def count_taken() -> None:
    """Raise 429 where somebody learns too often that a mail has an account: signing up cannot but tell.

    It signs in at once, in the middle of a purchase, so it has no second answer to hide behind.
    """
    if current_app.config["RATELIMIT_ENABLED"]:
        with limiter.limit(TAKEN_PER_ADDRESS):
            pass


@contextmanager
def at_least(seconds: float) -> Iterator[None]:
    """Take this long for what may be done sooner, so that nobody learns from the time which way it went."""
    begun = time.monotonic()
    yield
    time.sleep(max(0.0, seconds - (time.monotonic() - begun)))


def _keys(what: str, email: str, user: User | None) -> tuple[str, ...]:
    """Whose budgets a try takes from: the known place's own, else the account's and the network's for strangers.

    An email that has no account has a budget too: limits tell nobody which have one.
    """
    place = _known_place(user) if user else ""
    if user and place:
        return (f"{what}:{user.id}:{place}",)
    return (f"{what}:{_hashed(email)}", f"{what}:network:{client_network()}")


def _known_place(user: User) -> str:
    """The browser or network that this account knows, by a name; empty for strangers."""
    if current_user.is_authenticated and current_user.id == user.id:
        return f"session:{current_user.session.id}"
    if device := devices.current(user.id):
        return f"device:{device}"
    since = clock.now() - KNOWN_FOR
    if user.begun_anew_at:  # whoever signed in before may not have been its owner
        since = max(since, user.begun_anew_at)
    whole = UserSession.confirmed_at.is_not(None)  # without the second factor's code it proves half
    mine = (UserSession.user_id == user.id, UserSession.last_seen_at > since, whole)
    addresses = db.session.execute(select(UserSession.address).where(*mine).distinct()).scalars()
    network = client_network()
    return f"network:{network}" if network in map(network_of, addresses) else ""


def _hashed(email: str) -> str:
    """The email as a hash: limits are kept, and logged, where emails have no business."""
    return sha256(email.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:32]
