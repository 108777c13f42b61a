"""Verification of an address: the page of a mailed link, and what submitting it does."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.exc import IntegrityError

from portal import mail, tokens
from portal.accounts import mailed_links, users
from portal.accounts.ownership import fresh_start, takeover
from portal.accounts.ownership.fresh_start import Ended
from portal.accounts.ownership.takeover import Taken
from portal.accounts.security import passwords
from portal.customers import owners
from portal.errors import Conflict
from portal.extensions import db
from portal.models import User


class Way(StrEnum):
    """How someone who followed a link gets access to the account of its address."""

    CLAIM = "claim"  # no account and one order: the unclaimed user gets a password and becomes the account
    CLAIM_EACH = "claim_each"  # no account and several orders: a new account, with a question about each
    MAKER = "maker"  # they are signed in to it
    PASSWORD = "password"  # they give its password  # noqa: S105
    ANEW = "anew"  # they set a new password: it was never verified, and someone else may have created it
    RESET = "reset"  # they set a new password, and it was verified before
    SIGN_IN = "sign_in"  # it was verified before: they sign in

    @property
    def sets_password(self) -> bool:
        """Return whether the page asks for a new password."""
        return self in (Way.CLAIM, Way.CLAIM_EACH, Way.ANEW, Way.RESET)


@dataclass(frozen=True)
class Case:
    """A followed link: its user, the address's account, the unclaimed users that wait, and the way in."""

    holder: User
    account: User | None
    waiting: list[User]
    way: Way


@dataclass(frozen=True)
class Answers:
    """The submitted answers: for each unclaimed user whether it is theirs, and the ids of keys to keep."""

    mine: Mapping[int, bool] = field(default_factory=dict)
    keep: Collection[int] = ()


@dataclass(frozen=True)
class Outcome:
    """The account, what ended if it began anew, and the result for each order that was theirs."""

    account: User
    ended: Ended | None = None
    taken: tuple[Taken, ...] = ()


def look(raw: str, purpose: str, signed_in: User | None, *, anew: bool = False) -> Case:
    """Return where a link leads, without using it up. `anew`: they don't know the password. Raises LinkSpent."""
    holder = mailed_links.holder(raw, purpose)
    account, waiting = owners.both(holder.email)
    return Case(holder, account, waiting, _way(account, purpose, signed_in, anew, len(waiting)))


def _way(account: User | None, purpose: str, signed_in: User | None, anew: bool, waiting: int) -> Way:
    if account is None:
        return Way.CLAIM if waiting == 1 else Way.CLAIM_EACH
    if purpose == "reset":
        return Way.RESET if account.is_proven else Way.ANEW
    if signed_in is not None and signed_in.id == account.id:
        return Way.MAKER
    if account.is_proven:
        return Way.SIGN_IN
    return Way.ANEW if anew else Way.PASSWORD


def finish(raw: str, purpose: str, case: Case, answers: Answers, password: str | None) -> Outcome:
    """Use the link up, set a new password if needed, and take over what is theirs. Flushes.

    Beginning anew comes before taking over, in one transaction: no order joins an account while someone else still
    has access. Raises LinkSpent, InvalidInput for a weak password, Conflict.
    """
    hashed = _hashed(case, password)
    owners.lock_users(case.holder.email)
    holder = mailed_links.prove(raw, purpose)
    account, ended = owners.account(holder.email), None
    if (account and account.id) != (case.account and case.account.id):
        raise Conflict("This address got an account a moment ago. Open the link again.")
    if case.way in (Way.CLAIM, Way.CLAIM_EACH):
        assert hashed is not None
        account = _claimed(holder, case.way, hashed)
    assert account is not None
    if case.way is Way.RESET and hashed:
        users.replace_password(account, hashed)
    if case.way is Way.ANEW and hashed:
        ended = fresh_start.begin_anew(account, hashed, answers.keep)
    owners.lock_customers(account.email)
    if case.way in (Way.CLAIM, Way.CLAIM_EACH, Way.RESET):
        users.report_password_change(account, mailed=case.way is Way.RESET)
    mailed_links.proven(account)
    return Outcome(account, ended, decide(account, answers))


def decide(account: User, answers: Answers) -> tuple[Taken, ...]:
    """Take over the waiting orders that the owner of a verified account says are theirs, and disown the rest.
    Flushes.
    """
    owners.lock_users(account.email)
    answered, taken = [one for one in owners.waiting(account.email) if one.id in answers.mine], []
    for unclaimed in answered:
        tokens.void(unclaimed, "claim")
    owners.lock_customers(account.email)
    for unclaimed in takeover.order(answered):
        if answers.mine[unclaimed.id]:
            taken.append(takeover.take_over(unclaimed, account, answers.keep))
        else:
            takeover.disown(unclaimed, account)
    for unclaimed in answered:
        mail.withdraw(unclaimed, "claim")
    return tuple(one for one in taken if one)


def _hashed(case: Case, password: str | None) -> str | None:
    if not case.way.sets_password:
        return None
    assert password is not None
    passwords.check(password, case.holder.email)
    db.session.commit()  # no lock is held while hashing
    return passwords.hash(password)


def _claimed(holder: User, way: Way, hashed: str) -> User:
    """Return the new account: the unclaimed user itself, or a new user that takes over several."""
    account = holder if way is Way.CLAIM else User(email=holder.email, created_at=holder.created_at)
    account.password_hash = hashed
    db.session.add(account)
    try:
        db.session.flush()
    except IntegrityError:  # someone just signed up with it
        db.session.rollback()
        raise Conflict("This address got an account a moment ago. Open the link again.") from None
    users.replace_password(account, hashed)
    return account
