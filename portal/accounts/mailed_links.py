"""Mailed links: to verify an address, set a new password, or claim an account."""

import structlog

from portal import audit, clock, mail, tokens
from portal.accounts import users
from portal.customers import owners
from portal.errors import PortalError
from portal.models import User

log = structlog.get_logger()


# What to do about a spent link: the label, and the URL.
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
    """The link's token is unknown, expired, or already used."""

    status = 410
    code = "link_spent"
    title = "This link no longer works"

    def __init__(self, purpose: str) -> None:
        words = "It was used already, a newer one was sent, or it is too old."
        super().__init__(f"{words} {AGAIN[purpose]}", action=ACTIONS[purpose])


def mail_verification(user: User) -> None:
    """Mail the link that verifies an email address, at most once a minute."""
    _mail(user, "verify")


def mail_claim(user: User) -> None:
    """Mail the link that sets the password of an account created by a payment, at most once a minute."""
    _mail(user, "claim")


def mail_reset(email: str) -> None:
    """Mail a link that resets the password of this address's account, or one to claim what waits for it.

    The response does not reveal whether either exists.
    """
    user = users.find(email) or next(iter(reversed(owners.waiting(email))), None)
    # Written for unknown addresses too, so that response times do not reveal whether an account exists.
    audit.record("password_reset.asked", user_id=user.id if user else None)
    log.info("reset_asked", user_id=user.id if user else None)
    if user is not None:
        _mail(user, "reset" if user.is_claimed else "claim")


def holder(raw: str, purpose: str) -> User:
    """Return the user of a link, without using it up. Raises LinkSpent, also once nothing waits for it any
    more.
    """
    user = tokens.holder(raw, purpose)
    if user is None or (purpose == "claim" and not user.is_waiting):
        raise LinkSpent(purpose)
    return user


def prove(raw: str, purpose: str) -> User:
    """Use a link up, which proves that the reader receives the user's mail. Flushes. Raises LinkSpent."""
    user = tokens.redeem(raw, purpose)
    if user is None:
        raise LinkSpent(purpose)
    return user


def proven(account: User) -> None:
    """Mark the address as verified, and send a welcome mail the first time. Flushes."""
    if account.verified_at is None:
        account.verified_at = clock.now()
        tokens.void(account, "verify")
        audit.record("email.verified", user_id=account.id)
        mail.queue(account, "welcome", f"welcome:{account.id}", page=mail.external("billing.pricing"))
        log.info("email_verified", user_id=account.id)


def _mail(user: User, purpose: str) -> None:
    minute = clock.now().strftime("%Y%m%d%H%M")
    mail.queue(user, purpose, f"{purpose}:{user.id}:{minute}")
