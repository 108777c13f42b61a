"""Signing up."""

import structlog

from portal.accounts import links, passwords, people
from portal.errors import InvalidInput
from portal.models import User

log = structlog.get_logger()


class EmailTaken(InvalidInput):
    """The mail has an account that somebody signs in to."""

    status = 409
    code = "email_taken"

    def __init__(self) -> None:
        words = "There is an account with this email already. Sign in instead, or use another email."
        super().__init__(words, errors={"email": words})


def sign_up(email: str, password: str, name: str = "") -> User:
    """A new user, whose mail is still to be verified; the caller commits.

    Purchases that wait for the address join once it is proven. Raises InvalidInput, EmailTaken.
    """
    passwords.check(password, people.normalised(email))
    user = people.create(email, name, password)
    if user is None:
        raise EmailTaken
    log.info("signed_up", user_id=user.id)
    links.mail_verification(user)
    return user
