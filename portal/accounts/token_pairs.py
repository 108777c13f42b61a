"""Access and refresh tokens of the JSON API: signed in for once, kept up by refreshing, ended by a theft.

Each pair names a program's session. A refresh token is good once; used again, somebody else has it too, and the
session ends with every token of it.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from flask_jwt_extended import create_access_token, create_refresh_token, decode_token
from sqlalchemy import delete, select, update

from portal import audit, clock, tokens
from portal.accounts import limits, people, second_factor, sessions
from portal.errors import PortalError, Unauthorised
from portal.extensions import changed, db
from portal.models import RefreshToken, User, UserSession
from portal.purchases import customers
from portal.settings import current_settings

log = structlog.get_logger()


class SecondFactorRequired(PortalError):
    """The password is right, and the account asks for a code too."""

    status = 401
    code = "second_factor_required"
    title = "A code is needed"

    def __init__(self) -> None:
        words = "Send the code of your app, or a recovery code, as `code` too."
        super().__init__(words, errors={"code": "is missing"})


class RefreshRefused(Unauthorised):
    """The refresh token is unknown, expired, used before, or of a session that was ended."""

    code = "refresh_refused"
    title = "Sign in again"

    def __init__(self) -> None:
        super().__init__("This refresh token is no longer good. Sign in again.")


@dataclass(frozen=True)
class Pair:
    """What a program keeps; `expires_in` seconds of the access token."""

    access: str
    refresh: str
    expires_in: int


def sign_in(email: str, password: str, code: str) -> Pair:
    """The first pair of a new session. Commits, also what it notes of a failure.

    Raises SignInFailed, SecondFactorRequired, WrongCode.
    """
    user = people.authenticate(email, password)
    if user.has_second_factor:
        _check_code(user, code)
    customers.of(user)  # whose facts the access token's calls are about
    session = sessions.begin_for_program(user, _refresh_until())
    pair = _pair(user, session.id)
    db.session.commit()
    return pair


def refresh(token: str) -> Pair:
    """The next pair for a refresh token, which is used up. Commits, also the end of a stolen one's session.

    Raises RefreshRefused.
    """
    claims = tokens.claims(token, "refresh")
    if claims is None:
        raise RefreshRefused
    session_id = _redeem(claims)
    user = sessions.carry_on(session_id, _refresh_until())
    if user is None:
        db.session.commit()
        raise RefreshRefused
    pair = _pair(user, session_id)
    db.session.commit()
    return pair


def sweep() -> int:
    """Forget refresh tokens that have expired, used or not: nobody can come by them any more. Commits."""
    gone = changed(delete(RefreshToken).where(RefreshToken.expires_at < clock.now()))
    db.session.commit()
    return gone


def _check_code(user: User, code: str) -> None:
    if not code:
        db.session.commit()
        raise SecondFactorRequired
    limits.count(user, "code")
    second_factor.check(user, code)


def _pair(user: User, session_id: int) -> Pair:
    of_session = {"session": session_id}
    refresh_token = create_refresh_token(str(user.id), additional_claims=of_session)
    now = clock.now()
    row = RefreshToken(
        session_id=session_id,
        jti_hash=tokens.digest(decode_token(refresh_token)["jti"]),
        created_at=now,
        expires_at=_refresh_until(),
    )
    db.session.add(row)
    db.session.flush()
    access_token = create_access_token(str(user.id), additional_claims=of_session)
    return Pair(access_token, refresh_token, int(current_settings().access_lifetime.total_seconds()))


def _redeem(claims: tokens.Claims) -> int:
    """Use the token up, of two at the same moment one; gives its session. Raises RefreshRefused."""
    mine, now = RefreshToken.jti_hash == tokens.digest(claims.jti), clock.now()
    unused = (mine, RefreshToken.used_at.is_(None), RefreshToken.expires_at > now)
    statement = update(RefreshToken).where(*unused).values(used_at=now).returning(RefreshToken.session_id)
    session_id = db.session.execute(statement).scalar_one_or_none()
    if session_id is None:
        _end_stolen(db.session.execute(select(RefreshToken.session_id).where(mine)).scalar_one_or_none())
        raise RefreshRefused
    return session_id


def _end_stolen(session_id: int | None) -> None:
    """A used token comes again: its owner and a thief both have it, and cannot be told apart. Commits."""
    if session_id is not None:
        session = db.session.get_one(UserSession, session_id)
        sessions.end_one(session.user, session_id)
        audit.record("session.stolen", user_id=session.user_id, subject=str(session_id))
        log.warning("refresh_token_reused", user_id=session.user_id, session_id=session_id)
    db.session.commit()


def _refresh_until() -> datetime:
    return clock.now() + current_settings().refresh_lifetime
