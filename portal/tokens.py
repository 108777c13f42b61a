"""Tokens: single-use ones in mails, stored as a hash, and the claims of access and refresh tokens."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import jwt
import structlog
from sqlalchemy import ColumnElement, select, update

from portal import clock
from portal.extensions import db
from portal.models import MailToken, User
from portal.settings import current_settings

log = structlog.get_logger()

LIFETIMES = {
    "verify": timedelta(days=3),
    "reset": timedelta(hours=1),
    "claim": timedelta(days=7),
    "email_old": timedelta(days=3),
    "email_new": timedelta(days=3),
}
REQUIRED = ["exp", "sub", "jti", "type", "session"]
USER_ID = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a signed token of the JSON API: its user, its session, and its own id."""

    user_id: int
    session_id: int
    jti: str


def claims(token: str, kind: Literal["access", "refresh"]) -> Claims | None:
    """Return the claims of a valid token of this kind; None for any other.

    A valid signature is not enough: another system may sign with the same secret (`JWT_SECRET_KEY` taken over from
    it), and its tokens have other claims. So each claim that we rely on is checked, only here.
    """
    settings = current_settings()
    algorithms, required = [settings.jwt_algorithm], {"require": REQUIRED}
    try:
        found = jwt.decode(token, settings.jwt_secret_key, algorithms, options=required)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError, RecursionError):  # the last: a header nested too deeply
        return None
    user, session, jti = found["sub"], found["session"], found["jti"]
    if found["type"] != kind or not isinstance(jti, str) or not USER_ID.fullmatch(user):
        return None
    if type(session) is not int or not 0 < session < 2**63:
        return None
    return Claims(int(user), session, jti)


def digest(raw: str) -> str:
    """Return the SHA-256 of a random token, as stored. 256 random bits need neither salt nor a slow hash."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def mint(user: User, purpose: str, lifetime: timedelta | None = None) -> str:
    """Create a token for this user's mail; the caller commits. A new reset token voids older ones."""
    if purpose == "reset":
        void(user, "reset")
    now = clock.now()
    raw = secrets.token_urlsafe(32)
    token = MailToken(
        user_id=user.id,
        purpose=purpose,
        token_hash=digest(raw),
        created_at=now,
        expires_at=now + (lifetime or LIFETIMES[purpose]),
    )
    db.session.add(token)
    db.session.flush()
    return raw


def holder(raw: str, purpose: str) -> User | None:
    """Return the user of a token, without using it up, because mail scanners follow links too."""
    query = select(User).join(MailToken).where(*_alive(purpose), MailToken.token_hash == digest(raw))
    return db.session.execute(query).scalar_one_or_none()


def redeem(raw: str, purpose: str) -> User | None:
    """Use the token up and return its user; None if it is unknown, expired or already used."""
    user = holder(raw, purpose)
    if user is not None:  # locked before the token: see portal.models.locks
        db.session.refresh(user, with_for_update={"of": User, "key_share": True})
    statement = (
        update(MailToken)
        .where(*_alive(purpose), MailToken.token_hash == digest(raw))
        .values(used_at=clock.now())
        .returning(MailToken.user_id)
    )
    user_id = db.session.execute(statement).scalar_one_or_none()
    if user_id is None:
        log.info("token_refused", purpose=purpose)
        return None
    return db.session.get(User, user_id)


def void(user: User, *purposes: str) -> None:
    """Void this user's unused tokens of these purposes."""
    now = clock.now()
    unused = (MailToken.user_id == user.id, MailToken.purpose.in_(purposes), MailToken.used_at.is_(None))
    statement = update(MailToken).where(*unused, MailToken.expires_at > now).values(expires_at=now)
    db.session.execute(statement, execution_options={"synchronize_session": False})


def _alive(purpose: str) -> tuple[ColumnElement[bool], ...]:
    return (MailToken.purpose == purpose, MailToken.used_at.is_(None), MailToken.expires_at > clock.now())
