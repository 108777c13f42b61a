"""Whose an address is: the account that has proven it, else an unclaimed user who waits for its owner."""

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import aliased

from portal import clock
from portal.extensions import db
from portal.models import Customer, User

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


def lock_users(email: str) -> None:
    """Lock everybody of this address, ahead of what is theirs: see portal.models.locks."""
    mine = select(User).where(User.email == normalized(email)).order_by(User.id)
    locked = mine.with_for_update(of=User, key_share=True).execution_options(populate_existing=True)
    db.session.execute(locked).all()


def lock_customers(email: str) -> None:
    """Lock the customers of everybody of this address, after the users."""
    theirs = select(Customer.id).join(User, User.id == Customer.user_id).where(User.email == normalized(email))
    db.session.execute(theirs.order_by(Customer.id).with_for_update(of=Customer, key_share=True)).all()


def ledgers(customer_id: int) -> Select[int]:
    """The ids of the customers whose ledgers tell of this one's purchases: its own, and those taken over into it.

    A purchase that was taken over is the account's, and the entries that were posted for it stay where they are.
    """
    account = aliased(Customer)
    before = (User.taken_over_by == account.user_id, Customer.mode == account.mode)
    earlier = select(Customer.id).join(User, User.id == Customer.user_id).join(account, and_(*before))
    return select(Customer.id).where(
        or_(Customer.id == customer_id, Customer.id.in_(earlier.where(account.id == customer_id)))
    )


def _unclaimed(email: str) -> User:
    user = User(email=normalized(email), created_at=clock.now())
    db.session.add(user)
    db.session.flush()
    return user
