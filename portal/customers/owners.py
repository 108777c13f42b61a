"""The owner of an address: the account that has verified it, else an unclaimed user who waits for its owner."""

import structlog
from email_validator import EmailNotValidError, validate_email
from flask import has_request_context
from flask_login import current_user, logout_user
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import aliased

from portal import clock
from portal.errors import PortalError
from portal.extensions import db
from portal.models import Customer, User, UserSession

log = structlog.get_logger()

CLAIMED = User.password_hash.is_not(None)
WAITING: tuple[ColumnElement[bool], ...] = (
    User.password_hash.is_(None),
    User.deleted_at.is_(None),
    User.taken_over_by.is_(None),
    User.disowned_at.is_(None),
)


class SignedOut(PortalError):
    """The account's password changed, or this session ended, during the request."""

    status = 401
    code = "signed_out"
    title = "You were signed out"

    def __init__(self) -> None:
        words = "Your password was changed or you were signed out a moment ago. Nothing was changed."
        super().__init__(words, action=("/login", "Sign in"))


def normalized(email: str) -> str:
    """Return the address as it is stored: without surrounding spaces, in lower case."""
    return email.strip().lower()


def is_address(email: str) -> bool:
    """Return whether SMTP and Stripe both accept this address. No lookup is made."""
    try:
        # Addresses of an internal network are accepted. Names without a dot are not, because Stripe refuses them.
        found = validate_email(email, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False)
    except EmailNotValidError:
        return False
    return "." in found.domain


def of(email: str) -> User:
    """Return the owner of something that names only this address: the account that has verified it, else a new
    unclaimed user.

    It is a new one each time, so that a key bought for another person's address sees only its own order. Flushes.
    """
    return proven(email) or _unclaimed(email)


def proven(email: str) -> User | None:
    """Return the account that has verified this address."""
    found = account(email)
    return found if found and found.is_proven else None


def account(email: str) -> User | None:
    """Return the account of this address, verified or not. Unclaimed users are not accounts."""
    query = select(User).where(User.email == normalized(email), CLAIMED)
    return db.session.execute(query).scalar_one_or_none()


def waiting(email: str) -> list[User]:
    """List the unclaimed users of this address that nobody has decided about, oldest first."""
    query = select(User).where(User.email == normalized(email), *WAITING).order_by(User.id)
    return list(db.session.execute(query).scalars())


def both(email: str) -> tuple[User | None, list[User]]:
    """Return the account of this address and the unclaimed users who wait for it, in one query."""
    query = select(User).where(User.email == normalized(email)).order_by(User.id)
    found = db.session.execute(query).scalars().all()
    return next((one for one in found if one.is_claimed), None), [one for one in found if one.is_waiting]


def hold(user: User) -> None:
    """Lock an account before changing how it signs in, and compare the password that was used.

    The account may have begun anew for its owner since `user` was read. Flushes. Raises SignedOut.
    """
    let_in_by = user.password_hash
    query = select(User.password_hash).where(User.id == user.id)
    stands = db.session.execute(query.with_for_update(of=User, key_share=True)).scalar_one()
    if stands != let_in_by:
        raise _signed_out(user)


def hold_signed_in(user: User) -> None:
    """Do the same for the signed-in user, whose session may have ended during the request.

    Every function that adds a key, a second factor or another address calls this first. Flushes. Raises SignedOut.
    """
    hold(user)
    if not has_request_context() or not current_user.is_authenticated or current_user.id != user.id:
        return
    living = select(UserSession.id).where(
        UserSession.id == current_user.session.id, UserSession.ended_at.is_(None)
    )
    if db.session.execute(living).first() is None:
        raise _signed_out(user)


def _signed_out(user: User) -> SignedOut:
    user_id = user.id
    db.session.rollback()
    if has_request_context() and current_user.is_authenticated:
        logout_user()
    log.warning("signed_out_meanwhile", user_id=user_id)
    return SignedOut()


def lock_users(email: str) -> None:
    """Lock all users with this address, before their rows: see portal.models.locks."""
    mine = select(User).where(User.email == normalized(email)).order_by(User.id)
    locked = mine.with_for_update(of=User, key_share=True).execution_options(populate_existing=True)
    db.session.execute(locked).all()


def lock_customers(email: str) -> None:
    """Lock the customers of all users with this address, after the users."""
    theirs = select(Customer.id).join(User, User.id == Customer.user_id).where(User.email == normalized(email))
    db.session.execute(theirs.order_by(Customer.id).with_for_update(of=Customer, key_share=True)).all()


def ledgers(customer_id: int) -> Select[int]:
    """Select the ids of the customers whose ledgers record this customer's orders: its own, and those taken over
    into it.

    An order that was taken over belongs to the account, but its ledger entries stay where they are.
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
