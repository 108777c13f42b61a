"""The proof of an address: what a mailed link leads to, and what it does once its page is answered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.exc import IntegrityError

from portal import mail, tokens
from portal.accounts import fresh_start, links, passwords, people, takeover
from portal.accounts.fresh_start import Ended
from portal.accounts.takeover import Taken
from portal.customers import owners
from portal.errors import Conflict
from portal.extensions import db
from portal.models import User


class Way(StrEnum):
    """How somebody who followed a link comes to have the account of its address."""

    CLAIM = "claim"  # there is none, and one purchase: it gets a password and is the account
    CLAIM_EACH = "claim_each"  # there is none, and several purchases: a new one, asked about each
    MAKER = "maker"  # they are signed in to it
    PASSWORD = "password"  # they give its password  # noqa: S105
    ANEW = "anew"  # they set a new one: it was never proven, and they may not have made it
    RESET = "reset"  # they set a new one, and it was proven before
    SIGN_IN = "sign_in"  # it was proven before: they sign in

    @property
    def sets_password(self) -> bool:
        """Whether the page asks for a new password."""
        return self in (Way.CLAIM, Way.CLAIM_EACH, Way.ANEW, Way.RESET)


@dataclass(frozen=True)
class Case:
    """A link that was followed: its user, their address's account, who waits for it, and the way that is open."""

    holder: User
    account: User | None
    waiting: list[User]
    way: Way


@dataclass(frozen=True)
class Answers:
    """What its page was answered: for each unclaimed user whether it is theirs, and the ids of keys to keep."""

    mine: Mapping[int, bool] = field(default_factory=dict)
    keep: Collection[int] = ()


@dataclass(frozen=True)
class Outcome:
    """Whose account it is, what ended where it began anew, and what became of each purchase that was theirs."""

    account: User
    ended: Ended | None = None
    taken: tuple[Taken, ...] = ()


def look(raw: str, purpose: str, signed_in: User | None, *, anew: bool = False) -> Case:
    """What a link leads to, without using it up. `anew`: they don't know the password. Raises LinkSpent."""
    holder = links.holder(raw, purpose)
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
    """Use the link up, for a new password where its way sets one, and take over what is theirs. Flushes.

    Beginning anew comes before taking over, in one transaction: nothing that was bought joins an account while
    somebody else is still in it. Raises LinkSpent, InvalidInput for a poor password, Conflict.
    """
    hashed = _hashed(case, password)
    owners.lock_users(case.holder.email)
    holder = links.prove(raw, purpose)
    account, ended = owners.account(holder.email), None
    if (account and account.id) != (case.account and case.account.id):
        raise Conflict("This address got an account a moment ago. Open the link again.")
    if case.way in (Way.CLAIM, Way.CLAIM_EACH):
        assert hashed is not None
        account = _claimed(holder, case.way, hashed)
    assert account is not None
    if case.way is Way.RESET and hashed:
        people.replace_password(account, hashed)
    if case.way is Way.ANEW and hashed:
        ended = fresh_start.begin_anew(account, hashed, answers.keep)
    owners.lock_customers(account.email)
    if case.way in (Way.CLAIM, Way.CLAIM_EACH, Way.RESET):
        people.tell_of_password(account, mailed=case.way is Way.RESET)
    links.proven(account)
    return Outcome(account, ended, decide(account, answers))


def decide(account: User, answers: Answers) -> tuple[Taken, ...]:
    """Take over what is theirs of what waits for the address of a proven account, disown the rest. Flushes."""
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
    """The account that there was none of: the unclaimed user itself, or a new one that takes over several."""
    account = holder if way is Way.CLAIM else User(email=holder.email, created_at=holder.created_at)
    account.password_hash = hashed
    db.session.add(account)
    try:
        db.session.flush()
    except IntegrityError:  # somebody signed up with it at this moment
        db.session.rollback()
        raise Conflict("This address got an account a moment ago. Open the link again.") from None
    people.replace_password(account, hashed)
    return account
