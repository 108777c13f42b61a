"""Whose an address is: the account that has proven it, else an unclaimed user who waits for its owner."""

from sqlalchemy import ColumnElement, select

from portal import clock
from portal.extensions import db
from portal.models import User

CLAIMED = User.password_hash.is_not(None)
WAITING: tuple[ColumnElement[bool], ...] = (
    User.password_hash.is_(None),
    User.deleted_at.is_(None),
    User.taken_over_by.is_(None),
    User.disowned_at.is_(None),
)


def normalized(email: str) -> str:
    """The address as it is stored: no surrounding spaces, lower case."""
    return email.strip().lower()


def of(email: str) -> User:
    """Who gets what comes by this address alone: the account that has proven it, else a new unclaimed user.

    Each time a new one, so that a key bought for somebody else's address sees its own purchase alone. Flushes.
    """
    return proven(email) or _unclaimed(email)


def proven(email: str) -> User | None:
    """The account that has proven this address."""
    found = account(email)
    return found if found and found.is_proven else None


def account(email: str) -> User | None:
    """The account of this address, proven or not. An unclaimed user is none."""
    query = select(User).where(User.email == normalized(email), CLAIMED)
    return db.session.execute(query).scalar_one_or_none()


def waiting(email: str) -> list[User]:
    """The unclaimed users of this address that nobody has decided about, the first one first."""
    query = select(User).where(User.email == normalized(email), *WAITING).order_by(User.id)
    return list(db.session.execute(query).scalars())


def both(email: str) -> tuple[User | None, list[User]]:
    """The account of this address, and the unclaimed users who wait for it, by one query."""
    query = select(User).where(User.email == normalized(email)).order_by(User.id)
    found = db.session.execute(query).scalars().all()
    return next((one for one in found if one.is_claimed), None), [one for one in found if one.is_waiting]


def _unclaimed(email: str) -> User:
    user = User(email=normalized(email), created_at=clock.now())
    db.session.add(user)
    db.session.flush()
    return user
