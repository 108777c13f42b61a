"""How often the doors may be tried: per address, per mail and per user, refused tries included.

Back-off instead of a lockout: whoever knows a mail can slow its owner's sign-in down, but not stop it for long.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from flask import Flask, current_app, request

from portal import inputs
from portal.extensions import limiter
from portal.models import User

DOORS = frozenset(
    {
        "accounts.login",
        "accounts.second_step",
        "accounts.signup",
        "accounts.forgot",
        "accounts.send_verification",
        "security.confirm",
        "security.password",
        "email.change",
        "tokens_api.token",
    }
)
PER_ADDRESS = "6/minute"
PER_MAIL = "10/15 minutes"
TAKEN_PER_ADDRESS = "10/hour"
PER_USER = "10/15 minutes"  # of a million codes, of which three are right: years of guessing


def init_before_csrf(app: Flask) -> None:
    """Count ahead of the CSRF check: call this before `csrf.init_app`, else forged posts are tries for free."""
    app.before_request(_count)


def _count() -> None:
    """Raise 429 for a post to a door that was tried too often. Off with RATELIMIT_ENABLED false."""
    is_try = request.method == "POST" and request.endpoint in DOORS
    if not is_try or not current_app.config["RATELIMIT_ENABLED"]:
        return
    with limiter.limit(PER_ADDRESS):
        pass
    if inputs.text_sent("email"):
        with limiter.limit(PER_MAIL, key_func=_hashed_mail):
            pass


def count(user: User, secret: str) -> None:
    """Raise 429 where this user's secret ("code", "password") was tried too often, wherever from."""
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


def _hashed_mail() -> str:
    """The mail as a hash: limits are kept, and logged, where mails have no business."""
    email = inputs.text_sent("email").strip().lower()
    return sha256(email.encode("utf-8", "surrogatepass")).hexdigest()[:32]
