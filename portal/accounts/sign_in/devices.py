"""Device cookies, which distinguish a browser that has signed in before from strangers who guess passwords.

As OWASP describes them (https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
"""

import re
import secrets
from datetime import timedelta

from flask import Flask, Response, g, request
from sqlalchemy import delete, select, update

from portal import clock, jobs, tokens
from portal.extensions import db, insert
from portal.models import KnownDevice, User
from portal.settings import current_settings

LIFETIME = timedelta(days=400)  # the longest time that browsers keep a cookie
TOKEN = re.compile(r"[\w-]{43}", re.ASCII)


def init_app(app: Flask) -> None:
    """Set the cookie in the response to a sign-in."""
    app.after_request(_send)


def remember(user: User) -> None:
    """Mark this browser as known to the user's account, in addition to earlier accounts. Flushes.

    Each sign-in changes the cookie, so a cookie that was planted or copied before is worthless.
    """
    token, now = secrets.token_urlsafe(32), clock.now()
    g.device_token = token
    new = tokens.digest(token)
    if old := _sent():
        db.session.execute(update(KnownDevice).where(KnownDevice.token_hash == old).values(token_hash=new))
    row = insert(KnownDevice).values(token_hash=new, user_id=user.id, seen_at=now)
    db.session.execute(row.on_conflict_do_update(index_elements=["token_hash", "user_id"], set_={"seen_at": now}))


def current(user_id: int) -> str:
    """Return an id of this browser if the account knows it, else an empty string."""
    token_hash = _sent()
    mine = (KnownDevice.token_hash == token_hash, KnownDevice.user_id == user_id)
    query = select(KnownDevice.token_hash).where(*mine, KnownDevice.seen_at > clock.now() - LIFETIME)
    return db.session.execute(query).scalar_one_or_none() or "" if token_hash else ""


def forget(user: User) -> None:
    """Forget every browser of this account. Flushes."""
    db.session.execute(delete(KnownDevice).where(KnownDevice.user_id == user.id))


def sweep() -> int:
    """Delete browsers whose cookie has expired, and return how many. Commits."""
    key = (KnownDevice.token_hash, KnownDevice.user_id)
    return jobs.delete_due(key, KnownDevice.seen_at, clock.now() - LIFETIME)


def _sent() -> str:
    token = request.cookies.get(_name(), "")
    return tokens.digest(token) if TOKEN.fullmatch(token) else ""


def _name() -> str:
    return "__Host-device" if _is_secure() else "device"


def _is_secure() -> bool:
    return current_settings().base_url.startswith("https://")


def _send(response: Response) -> Response:
    token = g.pop("device_token", None)
    if token and response.status_code < 400:
        age = int(LIFETIME.total_seconds())
        response.set_cookie(_name(), token, max_age=age, secure=_is_secure(), httponly=True, samesite="Lax")
    return response
