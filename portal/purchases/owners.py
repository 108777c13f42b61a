"""Whose an address is: its account, and who waits for it without one."""

from sqlalchemy import ColumnElement, select

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


def account(email: str) -> User | None:
    """The account of this address, proven or not. An unclaimed user is none."""
    query = select(User).where(User.email == normalized(email), CLAIMED)
    return db.session.execute(query).scalar_one_or_none()


def waiting(email: str) -> list[User]:
    """The unclaimed users of this address that nobody has decided about, the first one first."""
    query = select(User).where(User.email == normalized(email), *WAITING).order_by(User.id)
    return list(db.session.execute(query).scalars())
