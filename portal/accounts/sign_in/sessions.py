"""Signed-in browsers and programs: one row each, so that signing out invalidates every copy of the cookie or
token.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask, Response, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from sqlalchemy import ColumnElement, and_, or_, select, update

from portal import audit, clock, jobs, tokens
from portal.accounts.sign_in import devices, redirects
from portal.customers import owners
from portal.errors import NotFound, Unauthorized
from portal.errors.responses import wants_json
from portal.extensions import db, login_manager, write_aside
from portal.models import User, UserSession

log = structlog.get_logger()

IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=30)
TOUCH_EVERY = timedelta(minutes=5)
HALF_WAY = timedelta(minutes=5)  # between the password and the second factor's code
RECENT = timedelta(minutes=10)  # how long a repeated password remains valid
HALF_SIGNED_IN = "half_signed_in"
BY_LINK = "by_link"


class SignedIn:
    """The `current_user` of a signed-in request: a user and one session."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, row: UserSession, token: str) -> None:
        self.user: User = row.user
        self.session = row
        self._token = token

    def get_id(self) -> str:
        """Return the session's token, which the cookie holds instead of a guessable user id."""
        return self._token

    def __getattr__(self, name: str) -> Any:
        """Return the user's own attributes: `id`, `email`, `name`, `is_admin`, `timezone`."""
        return getattr(self.user, name)


def init_app(app: Flask) -> None:
    """Make flask-login load sessions, and redirect visitors to the sign-in page and back."""
    login_manager.session_protection = None  # our rows decide; it would bind sessions to an address
    login_manager.user_loader(_load)
    login_manager.unauthorized_handler(_ask_to_sign_in)
    app.after_request(_touch)


def sign_in(user: User, *, by_link: bool = False) -> None:
    """Begin a session for this browser with a new id, keeping only what an order in progress needs.

    `by_link`: the password was not entered, so sensitive actions ask for it immediately.
    """
    token = _fresh(user)
    row = _begin(user, token)
    if by_link:
        row.confirmed_at = row.created_at - RECENT
    login_user(SignedIn(row, token))
    devices.remember(user)
    audit.record("session.started", user_id=user.id, subject=str(row.id))
    log.info("signed_in", user_id=user.id, session_id=row.id)


def sign_in_half_way(user: User, *, by_link: bool = False) -> None:
    """Remember for five minutes that this browser has entered the password, or used a link: a code is awaited."""
    token = _fresh(user)
    _begin(user, token, half_way=True, expires_at=clock.now() + HALF_WAY)
    session[HALF_SIGNED_IN] = token
    session[BY_LINK] = by_link


def came_by_link() -> bool:
    """Return whether this half-signed-in browser used a link instead of the password."""
    return bool(session.get(BY_LINK))


def half_signed_in() -> User | None:
    """Return the user who entered the password in this browser, but no code yet."""
    awaited = (UserSession.confirmed_at.is_(None), UserSession.ended_at.is_(None))
    mine = UserSession.token_hash == tokens.digest(session.get(HALF_SIGNED_IN, ""))
    query = select(UserSession).where(mine, *awaited, UserSession.expires_at > clock.now())
    row = db.session.execute(query).scalar_one_or_none()
    return row.user if row else None


def begin_for_program(user: User, until: datetime) -> UserSession:
    """Begin a session for tokens of the JSON API. It has no cookie, and its own token is never revealed.
    Flushes.
    """
    owners.hold(user)
    row = _begin(user, secrets.token_urlsafe(32), is_program=True, expires_at=until)
    audit.record("session.started", user_id=user.id, subject=str(row.id))
    log.info("signed_in", user_id=user.id, session_id=row.id)
    return row


def carry_on(session_id: int, until: datetime) -> User | None:
    """Extend a program's session and return its user; None if it has ended. Flushes."""
    living = (UserSession.id == session_id, *_alive(clock.now()))
    statement = (
        update(UserSession).where(*living).values(last_seen_at=clock.now(), expires_at=until, address=_address())
    )
    user_id = db.session.execute(statement.returning(UserSession.user_id)).scalar_one_or_none()
    return None if user_id is None else db.session.get(User, user_id)


def recent_password(row: UserSession) -> bool:
    """Return whether this session's owner entered the password within the last ten minutes."""
    return row.confirmed_at is not None and row.confirmed_at > clock.now() - RECENT


def confirmed(row: UserSession) -> None:
    """Record that the password was entered again correctly. Flushes."""
    row.confirmed_at = clock.now()
    db.session.flush()


def sign_out() -> None:
    """End this browser's session, which invalidates every copy of its cookie."""
    audit.record("session.ended", user_id=current_user.id, subject=str(current_user.session.id))
    _leave()


def end_all(user: User) -> None:
    """End every session of this user, as after a password change."""
    _end(UserSession.user_id == user.id)


def end_everywhere(user: User) -> None:
    """Sign this browser out, and every other one of this user."""
    end_all(user)
    audit.record("sessions.ended", user_id=user.id)
    _leave()


def _leave() -> None:
    user_id = current_user.id
    _end_this_browsers()
    logout_user()
    session.clear()
    log.info("signed_out", user_id=user_id)


def end_others(user: User) -> None:
    """End every session of this user except this browser's."""
    mine = current_user.session.id if current_user.is_authenticated else None
    _end(and_(UserSession.user_id == user.id, UserSession.id.is_distinct_from(mine)))
    audit.record("sessions.ended", user_id=user.id)


def end_one(user: User, session_id: int) -> None:
    """End a session of this user. Raises NotFound, also for another user's session."""
    row = db.session.get(UserSession, session_id)
    if row is None or row.user_id != user.id:
        raise NotFound("There is nothing here, or it belongs to another account.")
    _end(UserSession.id == row.id)
    audit.record("session.ended", user_id=user.id, subject=str(row.id))


def living(user: User) -> Sequence[UserSession]:
    """List the user's active sessions, most recently used first."""
    query = select(UserSession).where(UserSession.user_id == user.id, *_alive(clock.now()))
    return db.session.execute(query.order_by(UserSession.last_seen_at.desc())).scalars().all()


def sweep() -> int:
    """Delete sessions whose time is over, ended before or not, and return how many. Commits."""
    return jobs.delete_due((UserSession.id,), UserSession.expires_at, clock.now())


def _fresh(user: User) -> str:
    """Return a new session token. The cookie is cleared, except for what an order in progress needs."""
    owners.hold(user)
    _end_this_browsers()
    kept = {key: value for key, value in session.items() if key.startswith("purchase")}
    session.clear()
    session.update(kept)
    session.permanent = True
    return secrets.token_urlsafe(32)


def _begin(
    user: User,
    token: str,
    *,
    half_way: bool = False,
    is_program: bool = False,
    expires_at: datetime | None = None,
) -> UserSession:
    now = clock.now()
    row = UserSession(
        user=user,
        token_hash=tokens.digest(token),
        user_agent=(request.user_agent.string or "")[:255],
        address=_address(),
        created_at=now,
        last_seen_at=now,
        confirmed_at=None if half_way else now,
        is_program=is_program,
        expires_at=expires_at or now + ABSOLUTE,
    )
    db.session.add(row)
    db.session.flush()
    return row


def _address() -> str:
    return (request.remote_addr or "")[:45]


def _end_this_browsers() -> None:
    if current_user.is_authenticated:
        g.pop("user_session", None)
        _end(UserSession.id == current_user.session.id)
    if half_way := session.get(HALF_SIGNED_IN):
        _end(UserSession.token_hash == tokens.digest(half_way))


def _end(which: ColumnElement[bool]) -> None:
    statement = update(UserSession).where(which, UserSession.ended_at.is_(None)).values(ended_at=clock.now())
    db.session.execute(statement)


def _alive(now: datetime) -> tuple[ColumnElement[bool], ...]:
    recently = or_(UserSession.last_seen_at > now - IDLE, UserSession.is_program)
    whole = UserSession.confirmed_at.is_not(None)  # half-signed-in sessions have no access
    return (UserSession.ended_at.is_(None), UserSession.expires_at > now, recently, whole)


def _load(token: str) -> SignedIn | None:
    query = select(UserSession).where(UserSession.token_hash == tokens.digest(token), *_alive(clock.now()))
    row = db.session.execute(query).scalar_one_or_none()
    if row is None:
        return None
    g.user_session = row
    return SignedIn(row, token)


def _ask_to_sign_in() -> ResponseReturnValue:
    if wants_json():
        raise Unauthorized("Sign in, or send a key as `Authorization: Bearer KEY`.")
    # A redirect after the sign-in cannot repeat a refused POST.
    wanted = redirects.local_path(request.full_path.rstrip("?"), "") if request.method == "GET" else ""
    return redirect(url_for("sign_in.login", next=wanted or None), 303)


def _touch(response: Response) -> Response:
    """Record that the session was used, every few minutes."""
    row: UserSession | None = g.pop("user_session", None)
    if row is None or clock.now() - row.last_seen_at < TOUCH_EVERY:
        return response
    write_aside(update(UserSession).where(UserSession.id == row.id).values(last_seen_at=clock.now()))
    return response
