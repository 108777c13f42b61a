"""Users: finding them, making them, and checking who one is."""

import structlog
from email_validator import EmailNotValidError, validate_email

from portal import audit, clock, mail, tokens
from portal.accounts import limits, passwords, sessions
from portal.customers import owners
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, insert
from portal.models import User
from portal.models.user import CLAIMED
from portal.settings import Settings

log = structlog.get_logger()

DEMO_USER = "demo@example.com"


class SignInFailed(InvalidInput):
    """No such account, not claimed yet, or another password: told apart by nobody."""

    status = 401
    code = "sign_in_failed"
    title = "That did not fit"

    def __init__(self) -> None:
        words = "The email or the password is not right."
        super().__init__(words, errors={"password": words})


class WrongPassword(InvalidInput):
    """Not the password of whoever is signed in."""

    code = "wrong_password"

    def __init__(self, field: str) -> None:
        words = "This is not your password."
        super().__init__(words, errors={field: words})


def normalised(email: str) -> str:
    """A mail address as it is stored: no surrounding spaces, lower case."""
    return owners.normalized(email)


def is_address(email: str) -> bool:
    """Whether SMTP and Stripe both take this mail address. No look-up is made."""
    try:
        # Addresses of a house's own network are taken, names without a dot are not: Stripe refuses them.
        found = validate_email(email, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False)
    except EmailNotValidError:
        return False
    return "." in found.domain


def find(email: str) -> User | None:
    """The account of this mail address, however it is written."""
    return owners.account(email)


def create(email: str, name: str = "", password: str | None = None, *, role: str = "customer") -> User | None:
    """A new user; None where the mail has an account already. Without a password it is yet to be claimed."""
    password_hash = None if password is None else passwords.hash(password)
    statement = (
        insert(User)
        .values(
            email=normalised(email),
            name=name,
            password_hash=password_hash,
            role=role,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(index_elements=["email"], index_where=CLAIMED)
        .returning(User.id)
    )
    user_id = db.session.execute(statement).scalar_one_or_none()
    return None if user_id is None else db.session.get(User, user_id)


def authenticate(email: str, password: str) -> User:
    """The user with this password. Commits, also what it notes of a failure. Raises SignInFailed, TooManyTries."""
    user = find(email)
    with limits.guess(email, user):
        db.session.commit()  # hashing takes a while, and no lock is held meanwhile
        fits = passwords.verify(user.password_hash if user else None, password)
        if user is None or user.password_hash is None or not fits:
            log.warning("sign_in_failed", user_id=user.id if user else None)
            audit.record("session.refused", user_id=user.id if user else None)
            db.session.commit()
            raise SignInFailed
    if passwords.is_outdated(user.password_hash):
        user.password_hash = passwords.hash(password)
    return user


def confirm_password(user: User, password: str, field: str = "password") -> None:
    """Raise WrongPassword, about this field, unless it is theirs. Commits, also what it notes of a wrong one."""
    with limits.guess(user.email, user):
        db.session.commit()  # hashing takes a while, and no lock is held meanwhile
        if not passwords.verify(user.password_hash, password):
            audit.record("password.refused", user_id=user.id)
            db.session.commit()
            raise WrongPassword(field)


def change_password(user: User, current: str, new: str) -> None:
    """Another password for who knows the present one; every session ends, this browser's too. Commits first.

    Raises InvalidInput, about `current` or `password`.
    """
    confirm_password(user, current, "current")
    passwords.check(new, user.email)
    store_password(user, passwords.hash(new))


def named(email: str) -> User:
    """The user of this mail address, for whoever may know that there is none. Raises NotFound."""
    user = find(email)
    if user is None:
        raise NotFound(f"There is no account with the email {normalised(email)}.")
    return user


def set_password(email: str, password: str) -> None:
    """Give a user a new password. Raises NotFound, or InvalidInput for a poor one."""
    user = named(email)
    passwords.check(password, user.email)
    store_password(user, passwords.hash(password))


def store_password(user: User, password_hash: str) -> None:
    """Put a new password in force and tell its owner, if there was another before. Flushes."""
    had_one = user.is_claimed
    replace_password(user, password_hash)
    tell_of_password(user, mailed=had_one)


def replace_password(user: User, password_hash: str) -> None:
    """Put a new password in force: whoever came in by the old one, or holds a link to set one, is out. Flushes.

    `tell_of_password` says so, once the transaction has every lock that it needs.
    """
    user.password_hash = password_hash
    tokens.void(user, "reset", "claim")
    sessions.end_all(user)


def tell_of_password(user: User, *, mailed: bool) -> None:
    """Write down that the password changed, and mail its owner where nothing else does. Flushes."""
    audit.record("password.changed", user_id=user.id)
    if mailed:
        mail.queue(user, "password_changed", f"password_changed:{user.id}:{clock.now().timestamp()}")
    log.info("password_set", user_id=user.id)


def ensure_people(settings: Settings) -> dict[str, str]:
    """Make the admin, and in development the demo user, where missing: email → password of those just made.

    Existing accounts are never changed. In production an admin is made only with an
    ADMIN_PASSWORD, and that has to be a good one (raises InvalidInput).
    """
    if settings.is_production:
        return _ensure_admin(settings)
    made = _ensure(settings.admin_email, "Admin", settings.admin_password, role="admin")
    return made | _ensure(DEMO_USER, "Demo", settings.demo_user_password)


def _ensure_admin(settings: Settings) -> dict[str, str]:
    if settings.admin_password is None:
        return {}
    passwords.check(settings.admin_password, normalised(settings.admin_email))
    return _ensure(settings.admin_email, "Admin", settings.admin_password, role="admin")


def _ensure(email: str, name: str, given: str | None, *, role: str = "customer") -> dict[str, str]:
    if find(email) is not None:
        return {}
    password = given or passwords.generate()
    made = _make(email, name, password, role=role)
    return {normalised(email): password} if made else {}


def _make(email: str, name: str, password: str, *, role: str) -> User | None:
    user = create(email, name, password, role=role)
    if user is not None:  # else another process was faster
        user.verified_at = clock.now()
        log.info("account_made", user_id=user.id, role=role)
    return user
