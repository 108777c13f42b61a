"""Access and refresh tokens of the JSON API: issued at sign-in, renewed by refreshing, revoked after a theft.

Each pair names a program's session. A refresh token works once. If it is used again, someone else has it too, and
the session ends with all of its tokens.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from flask_jwt_extended import create_access_token, create_refresh_token, decode_token
from sqlalchemy import select, update

from portal import audit, clock, jobs, tokens
from portal.accounts import users
from portal.accounts.security import rate_limits, second_factor
from portal.accounts.sign_in import sessions
from portal.customers import stripe_customers
from portal.errors import PortalError, Unauthorized
from portal.extensions import db
from portal.models import RefreshToken, User, UserSession
from portal.settings import current_settings

log = structlog.get_logger()


class SecondFactorRequired(PortalError):
    """The password is right, and the account also requires a code."""

    status = 401
    code = "second_factor_required"
    title = "A code is needed"

    def __init__(self) -> None:
        words = "Send the code of your app, or a recovery code, as `code` too."
        super().__init__(words, errors={"code": "is missing"})


class RefreshRefused(Unauthorized):
    """The refresh token is unknown, expired, already used, or of an ended session."""

    code = "refresh_refused"
    title = "Sign in again"

    def __init__(self) -> None:
        super().__init__("This refresh token is no longer good. Sign in again.")


@dataclass(frozen=True)
class Pair:
    """The tokens of a program. `expires_in` is in seconds, for the access token."""

    access: str
    refresh: str
    expires_in: int


def sign_in(email: str, password: str, code: str) -> Pair:
    """Return the first pair of a new session. Commits, also after a failure.

    Raises SignInFailed, SecondFactorRequired, WrongCode.
    """
    user = users.authenticate(email, password)
    if user.has_second_factor:
        _check_code(user, code)
    session = sessions.begin_for_program(user, _refresh_until())
    stripe_customers.of(user)  # the customer that the access token's calls are about
    pair = _pair(user, session.id)
    db.session.commit()
    return pair


def refresh(token: str) -> Pair:
    """Use up a refresh token and return the next pair. Commits, also when a stolen token ends its session.

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
    """Delete expired refresh tokens, used or not. Commits."""
    return jobs.delete_due((RefreshToken.id,), RefreshToken.expires_at, clock.now())


def _check_code(user: User, code: str) -> None:
    if not code:
        db.session.commit()
        raise SecondFactorRequired
    rate_limits.count(user, "code")
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
    """Use the token up, once even with concurrent calls, and return its session. Raises RefreshRefused."""
    mine, now = RefreshToken.jti_hash == tokens.digest(claims.jti), clock.now()
    unused = (mine, RefreshToken.used_at.is_(None), RefreshToken.expires_at > now)
    statement = update(RefreshToken).where(*unused).values(used_at=now).returning(RefreshToken.session_id)
    session_id = db.session.execute(statement).scalar_one_or_none()
    if session_id is None:
        _end_stolen(db.session.execute(select(RefreshToken.session_id).where(mine)).scalar_one_or_none())
        raise RefreshRefused
    return session_id


def _end_stolen(session_id: int | None) -> None:
    """End a session whose used token was presented again: the owner and a thief cannot be told apart. Commits."""
    if session_id is not None:
        session = db.session.get_one(UserSession, session_id)
        sessions.end_one(session.user, session_id)
        audit.record("session.stolen", user_id=session.user_id, subject=str(session_id))
        log.warning("refresh_token_reused", user_id=session.user_id, session_id=session_id)
    db.session.commit()


def _refresh_until() -> datetime:
    return clock.now() + current_settings().refresh_lifetime
