"""The links that mails carry: to verify a mail, set a new password, or claim an account."""

import structlog

from portal import audit, clock, mail, tokens
from portal.accounts import passwords, people
from portal.errors import PortalError
from portal.extensions import db
from portal.models import User
from portal.purchases import owners

log = structlog.get_logger()


# What to do about a link that is spent: its words, and where.
FORGOT = ("/password/forgot", "Send me a new link")
EMAIL = ("/account/email", "Ask for the change again")
ACTIONS = {
    "verify": ("/account", "Go to your account"),
    "reset": FORGOT,
    "claim": FORGOT,
    "email_old": EMAIL,
    "email_new": EMAIL,
}
AGAIN = {
    "verify": "If your address is not confirmed yet, your account page sends another one.",
    "reset": "We gladly mail you another one.",
    "claim": "We gladly mail you another one.",
    "email_old": "Your address stays as it is.",
    "email_new": "The address stays as it is.",
}


class LinkSpent(PortalError):
    """The link's token is unknown, expired, or was used before."""

    status = 410
    code = "link_spent"
    title = "This link no longer works"

    def __init__(self, purpose: str) -> None:
        words = "It was used already, a newer one was sent, or it is too old."
        super().__init__(f"{words} {AGAIN[purpose]}", action=ACTIONS[purpose])


def mail_verification(user: User) -> None:
    """Mail the link that verifies a mail address, at most one a minute."""
    _mail(user, "verify")


def mail_claim(user: User) -> None:
    """Mail the link that gives an account made by a payment its password, at most one a minute."""
    _mail(user, "claim")


def mail_reset(email: str) -> None:
    """Mail a link for a new password where the mail has an account; never says whether it has."""
    user = people.find(email) or next(iter(owners.waiting(email)), None)
    # Written for nobody too: an address that has an account is told by the time no more than by the words.
    audit.record("password_reset.asked", user_id=user.id if user else None)
    log.info("reset_asked", user_id=user.id if user else None)
    if user is not None:
        _mail(user, "reset" if user.is_claimed else "claim")


def owner(raw: str, purpose: str) -> User:
    """Whose link this is, without using it up. Raises LinkSpent."""
    user = tokens.holder(raw, purpose)
    if user is None:
        raise LinkSpent(purpose)
    return user


def verify(raw: str) -> User:
    """Note that the mail address is its user's. Raises LinkSpent."""
    user = _redeem(raw, "verify")
    _verified(user)
    return user


def set_password(raw: str, purpose: str, password: str) -> User:
    """Use up a reset or claim link for a new password; every session and other link of the user ends.

    Raises LinkSpent, or InvalidInput for a poor password, which leaves the link alive.
    """
    user = owner(raw, purpose)
    passwords.check(password, user.email)
    db.session.commit()  # no lock is held while hashing
    password_hash = passwords.hash(password)
    user = _redeem(raw, purpose)
    _verified(user)  # the link came by mail
    people.store_password(user, password_hash)
    return user


def _verified(user: User) -> None:
    """The address is this user's; the first time that is known they are made welcome."""
    if user.verified_at is None:
        user.verified_at = clock.now()
        mail.queue(user, "welcome", f"welcome:{user.id}", page=mail.external("billing.pricing"))
        log.info("email_verified", user_id=user.id)


def _mail(user: User, purpose: str) -> None:
    minute = clock.now().strftime("%Y%m%d%H%M")
    mail.queue(user, purpose, f"{purpose}:{user.id}:{minute}")


def _redeem(raw: str, purpose: str) -> User:
    user = tokens.redeem(raw, purpose)
    if user is None:
        raise LinkSpent(purpose)
    return user
