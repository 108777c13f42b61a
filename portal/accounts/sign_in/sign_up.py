"""Sign-up."""

import structlog

from portal.accounts import mailed_links, users
from portal.accounts.security import passwords
from portal.errors import InvalidInput
from portal.models import User

log = structlog.get_logger()


class EmailTaken(InvalidInput):
    """The email already has an account with a password."""

    status = 409
    code = "email_taken"

    def __init__(self) -> None:
        words = "There is an account with this email already. Sign in instead, or use another email."
        super().__init__(words, errors={"email": words})


def sign_up(email: str, password: str, name: str = "") -> User:
    """Return a new user, whose email is not verified yet; the caller commits.

    Orders that wait for the address join once it is verified. Raises InvalidInput, EmailTaken.
    """
    passwords.check(password, users.normalized(email))
    user = users.create(email, name, password)
    if user is None:
        raise EmailTaken
    log.info("signed_up", user_id=user.id)
    mailed_links.mail_verification(user)
    return user
