"""Signing up."""

import structlog

from portal.accounts import links, passwords, people
from portal.errors import InvalidInput, PortalError
from portal.models import User
from portal.purchases import owners

log = structlog.get_logger()


class EmailTaken(InvalidInput):
    """The mail has an account that somebody signs in to."""

    status = 409
    code = "email_taken"

    def __init__(self) -> None:
        words = "There is an account with this email already. Sign in instead, or use another email."
        super().__init__(words, errors={"email": words})


class Unclaimed(PortalError):
    """The mail has an account that a payment made; a mailed link gives it a password."""

    status = 409
    code = "unclaimed"
    title = "You have an account already"

    def __init__(self, user: User) -> None:
        super().__init__("A payment with this email made an account. Claim it by the link that is mailed.")
        self.user = user


def sign_up(email: str, password: str, name: str = "") -> User:
    """A new user, whose mail is still to be verified; the caller commits.

    Raises InvalidInput for a poor password, EmailTaken, or Unclaimed.
    """
    passwords.check(password, people.normalised(email))
    if waiting := owners.waiting(email):
        raise Unclaimed(waiting[0])
    user = people.create(email, name, password)
    if user is None:
        raise EmailTaken
    log.info("signed_up", user_id=user.id)
    links.mail_verification(user)
    return user
