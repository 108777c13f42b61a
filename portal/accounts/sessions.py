"""Signed-in browsers and programs: a row each, so that signing out kills every copy of the cookie or token."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask, Response, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from sqlalchemy import ColumnElement, and_, or_, select, update

from portal import audit, clock, tokens
from portal.accounts import devices, redirects
from portal.errors import NotFound, Unauthorised, wants_json
from portal.extensions import db, login_manager, write_aside
from portal.models import User, UserSession

log = structlog.get_logger()

IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=30)
TOUCH_EVERY = timedelta(minutes=5)
HALF_WAY = timedelta(minutes=5)  # between the password and the second factor's code
RECENT = timedelta(minutes=10)  # how long a password that was asked again is good for
HALF_SIGNED_IN = "half_signed_in"
BY_LINK = "by_link"


class SignedIn:
    """What `current_user` is while somebody is signed in: a user, by way of one session."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, row: UserSession, token: str) -> None:
        self.user: User = row.user
        self.session = row
        self._token = token

    def get_id(self) -> str:
        """The session's token: what the cookie holds, and no guessable user id."""
        return self._token

    def __getattr__(self, name: str) -> Any:
        """The user's own facts: `id`, `email`, `name`, `is_admin`, `timezone`."""
        return getattr(self.user, name)


def init_app(app: Flask) -> None:
    """Teach flask-login to find sessions, and to lead strangers to the sign-in page and back."""
    login_manager.session_protection = None  # our rows decide; it would tie sessions to an address
    login_manager.user_loader(_load)
    login_manager.unauthorized_handler(_ask_to_sign_in)
    app.after_request(_touch)


def sign_in(user: User, *, by_link: bool = False) -> None:
    """Begin a session for this browser under a new id, keeping only what a purchase in progress needs.

    `by_link`: the password was not given, so what asks for it again asks at once.
    """
    token = _fresh()
    row = _begin(user, token)
    if by_link:
        row.confirmed_at = row.created_at - RECENT
    login_user(SignedIn(row, token))
    devices.remember(user)
    audit.record("session.started", user_id=user.id, subject=str(row.id))
    log.info("signed_in", user_id=user.id, session_id=row.id)


def sign_in_half_way(user: User, *, by_link: bool = False) -> None:
    """Remember for five minutes that this browser knows the password, or came by a link: a code is awaited."""
    token = _fresh()
    _begin(user, token, half_way=True, expires_at=clock.now() + HALF_WAY)
    session[HALF_SIGNED_IN] = token
    session[BY_LINK] = by_link


def came_by_link() -> bool:
    """Return whether this browser, half signed in, came by a link and not by the password."""
    return bool(session.get(BY_LINK))


def half_signed_in() -> User | None:
    """Who has shown this browser's password and not yet a code."""
    awaited = (UserSession.confirmed_at.is_(None), UserSession.ended_at.is_(None))
    mine = UserSession.token_hash == tokens.digest(session.get(HALF_SIGNED_IN, ""))
    query = select(UserSession).where(mine, *awaited, UserSession.expires_at > clock.now())
    row = db.session.execute(query).scalar_one_or_none()
    return row.user if row else None


def begin_for_program(user: User, until: datetime) -> UserSession:
    """A session that tokens of the JSON API name, and no cookie: nobody is told the token of this row. Flushes."""
    row = _begin(user, secrets.token_urlsafe(32), is_program=True, expires_at=until)
    audit.record("session.started", user_id=user.id, subject=str(row.id))
    log.info("signed_in", user_id=user.id, session_id=row.id)
    return row


def carry_on(session_id: int, until: datetime) -> User | None:
    """Whose program's session this is, which now lasts until then; None where it is over. Flushes."""
    living = (UserSession.id == session_id, *_alive(clock.now()))
    statement = (
        update(UserSession).where(*living).values(last_seen_at=clock.now(), expires_at=until, address=_address())
    )
    user_id = db.session.execute(statement.returning(UserSession.user_id)).scalar_one_or_none()
    return None if user_id is None else db.session.get(User, user_id)


def recent_password(row: UserSession) -> bool:
    """Whether this session's owner gave their password within the last ten minutes: ask again where not."""
    return row.confirmed_at is not None and row.confirmed_at > clock.now() - RECENT


def confirmed(row: UserSession) -> None:
    """Note that the password was asked again and was right. Flushes."""
    row.confirmed_at = clock.now()
    db.session.flush()


def sign_out() -> None:
    """End this browser's session; every copy of its cookie is worthless from now on."""
    audit.record("session.ended", user_id=current_user.id, subject=str(current_user.session.id))
    _leave()


def end_all(user: User) -> None:
    """End every session of this user, as a changed password must."""
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
    """End every session of this user but this browser's."""
    mine = current_user.session.id if current_user.is_authenticated else None
    _end(and_(UserSession.user_id == user.id, UserSession.id.is_distinct_from(mine)))
    audit.record("sessions.ended", user_id=user.id)


def end_one(user: User, session_id: int) -> None:
    """End a session of this user; somebody else's is as absent as one that never was. Raises NotFound."""
    row = db.session.get(UserSession, session_id)
    if row is None or row.user_id != user.id:
        raise NotFound("There is nothing here, or it belongs to another account.")
    _end(UserSession.id == row.id)
    audit.record("session.ended", user_id=user.id, subject=str(row.id))


def living(user: User) -> Sequence[UserSession]:
    """The user's sessions that are not over, the last used first."""
    query = select(UserSession).where(UserSession.user_id == user.id, *_alive(clock.now()))
    return db.session.execute(query.order_by(UserSession.last_seen_at.desc())).scalars().all()


def _fresh() -> str:
    """The token of a session to be: the cookie begins anew, but for what a purchase in progress needs."""
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
    whole = UserSession.confirmed_at.is_not(None)  # half-way ones open nothing
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
        raise Unauthorised("Sign in, or send a key as `Authorization: Bearer KEY`.")
    # A refused POST cannot be repeated after the sign-in by a redirect.
    wanted = redirects.local_path(request.full_path.rstrip("?"), "") if request.method == "GET" else ""
    return redirect(url_for("accounts.login", next=wanted or None), 303)


def _touch(response: Response) -> Response:
    """Note that the session was used, every few minutes."""
    row: UserSession | None = g.pop("user_session", None)
    if row is None or clock.now() - row.last_seen_at < TOUCH_EVERY:
        return response
    write_aside(update(UserSession).where(UserSession.id == row.id).values(last_seen_at=clock.now()))
    return response
