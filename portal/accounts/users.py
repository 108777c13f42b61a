"""Users: finding, creating and authenticating them."""

import structlog

from portal import audit, clock, mail, tokens
from portal.accounts.security import passwords, rate_limits
from portal.accounts.sign_in import sessions
from portal.customers import owners
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, insert
from portal.models import User
from portal.models.user import CLAIMED
from portal.settings import Settings

log = structlog.get_logger()

DEMO_USER = "demo@example.com"


class SignInFailed(InvalidInput):
    """No such account, not claimed yet, or a wrong password. The response is the same for all."""

    status = 401
    code = "sign_in_failed"
    title = "That did not fit"

    def __init__(self) -> None:
        words = "The email or the password is not right."
        super().__init__(words, errors={"password": words})


class WrongPassword(InvalidInput):
    """Not the signed-in user's password."""

    code = "wrong_password"

    def __init__(self, field: str) -> None:
        words = "This is not your password."
        super().__init__(words, errors={field: words})


def normalized(email: str) -> str:
    """Return an email address as it is stored: without surrounding spaces, in lower case."""
    return owners.normalized(email)


def is_address(email: str) -> bool:
    """Return whether SMTP and Stripe both accept this email address. No lookup is made."""
    return owners.is_address(email)


def find(email: str) -> User | None:
    """Return the account of this email address, in any capitalization."""
    return owners.account(email)


def create(email: str, name: str = "", password: str | None = None, *, role: str = "customer") -> User | None:
    """Return a new user; None if the email already has an account. Without a password it is unclaimed."""
    password_hash = None if password is None else passwords.hash(password)
    statement = (
        insert(User)
        .values(
            email=normalized(email),
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
    """Return the user with this password. Commits, also after a failure. Raises SignInFailed, TooManyTries."""
    user = find(email)
    with rate_limits.guess(email, user):
        db.session.commit()  # hashing takes a while, so no lock is held
        fits = passwords.verify(user.password_hash if user else None, password)
        if user is None or user.password_hash is None or not fits:
            log.warning("sign_in_failed", user_id=user.id if user else None)
            audit.record("session.refused", user_id=user.id if user else None)
            db.session.commit()
            raise SignInFailed
    if passwords.is_outdated(user.password_hash):
        hashed = passwords.hash(password)
        owners.hold(user)
        user.password_hash = hashed
    return user


def confirm_password(user: User, password: str, field: str = "password") -> None:
    """Raise WrongPassword, about this field, unless the password is right. Commits, also after a failure."""
    with rate_limits.guess(user.email, user):
        db.session.commit()  # hashing takes a while, so no lock is held
        if not passwords.verify(user.password_hash, password):
            audit.record("password.refused", user_id=user.id)
            db.session.commit()
            raise WrongPassword(field)


def change_password(user: User, current: str, new: str) -> None:
    """Change the password of a user who knows the current one; every session ends, including this one. Commits
    first.

    Raises InvalidInput, about `current` or `password`.
    """
    confirm_password(user, current, "current")
    passwords.check(new, user.email)
    hashed = passwords.hash(new)
    owners.hold_signed_in(user)
    store_password(user, hashed)


def named(email: str) -> User:
    """Return the user of this email address, for callers that may learn whether it exists. Raises NotFound."""
    user = find(email)
    if user is None:
        raise NotFound(f"There is no account with the email {normalized(email)}.")
    return user


def set_password(email: str, password: str) -> None:
    """Set a user's password. Raises NotFound, or InvalidInput for a weak one."""
    user = named(email)
    passwords.check(password, user.email)
    store_password(user, passwords.hash(password))


def store_password(user: User, password_hash: str) -> None:
    """Store a new password and tell its owner, if there was another before. Flushes."""
    had_one = user.is_claimed
    replace_password(user, password_hash)
    report_password_change(user, mailed=had_one)


def replace_password(user: User, password_hash: str) -> None:
    """Store a new password, and end sessions and links that came from the old one. Flushes.

    `report_password_change` reports it, once the transaction has every lock that it needs.
    """
    user.password_hash = password_hash
    tokens.void(user, "reset", "claim")
    sessions.end_all(user)


def report_password_change(user: User, *, mailed: bool) -> None:
    """Record that the password changed, and mail its owner if no other mail does. Flushes."""
    audit.record("password.changed", user_id=user.id)
    if mailed:
        mail.queue(user, "password_changed", f"password_changed:{user.id}:{clock.now().timestamp()}")
    log.info("password_set", user_id=user.id)


def ensure_people(settings: Settings) -> dict[str, str]:
    """Create the admin, and in development the demo user, if missing; return email → password of the created ones.

    Existing accounts are never changed. In production an admin is created only with an ADMIN_PASSWORD, which has
    to be strong enough (raises InvalidInput).
    """
    if settings.is_production:
        return _ensure_admin(settings)
    made = _ensure(settings.admin_email, "Admin", settings.admin_password, role="admin")
    return made | _ensure(DEMO_USER, "Demo", settings.demo_user_password)


def _ensure_admin(settings: Settings) -> dict[str, str]:
    if settings.admin_password is None:
        return {}
    passwords.check(settings.admin_password, normalized(settings.admin_email))
    return _ensure(settings.admin_email, "Admin", settings.admin_password, role="admin")


def _ensure(email: str, name: str, given: str | None, *, role: str = "customer") -> dict[str, str]:
    if find(email) is not None:
        return {}
    password = given or passwords.generate()
    made = _make(email, name, password, role=role)
    return {normalized(email): password} if made else {}


def _make(email: str, name: str, password: str, *, role: str) -> User | None:
    user = create(email, name, password, role=role)
    if user is not None:  # otherwise another process was faster
        user.verified_at = clock.now()
        log.info("account_made", user_id=user.id, role=role)
    return user
