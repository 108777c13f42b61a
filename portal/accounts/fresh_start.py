"""Beginning an account anew: the first proof of its address by somebody who was not in it ends what was there."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import select

from portal import audit, clock, mail
from portal.accounts import devices, email_change, people, recovery, sessions
from portal.customers import owners
from portal.extensions import db
from portal.keys import minting
from portal.models import ApiKey, Customer, User

log = structlog.get_logger()


@dataclass(frozen=True)
class Ended:
    """What ended: how many sessions, the beginnings of keys, and whether there was a second factor or a change."""

    sessions: int = 0
    keys: tuple[str, ...] = ()
    second_factor: bool = False
    email_change: bool = False


def living_keys(user: User) -> list[ApiKey]:
    """The keys of an account that work now, in both modes, newest first."""
    mine = select(Customer.id).where(Customer.user_id == user.id)
    query = select(ApiKey).where(ApiKey.customer_id.in_(mine), *minting.living_at(clock.now()))
    return list(db.session.execute(query.order_by(ApiKey.id.desc())).scalars())


def begin_anew(user: User, password_hash: str, keep: Collection[int]) -> Ended:
    """Set a new password and end what whoever made the account set up, but for the keys that are kept. Flushes.

    Sessions with their tokens, known browsers, the second factor, a pending change of address and every other key
    end. What the account bought stays with it. Its owner is mailed.
    """
    owners.lock_users(user.email)
    living, had_factor = len(sessions.living(user)), user.has_second_factor
    had_change = email_change.pending(user) is not None
    user.begun_anew_at = clock.now()
    user.totp_seed = user.totp_step = user.second_factor_at = None
    recovery.remove(user)
    devices.forget(user)
    email_change.end(user)
    people.replace_password(user, password_hash)
    owners.lock_customers(user.email)
    people.tell_of_password(user, mailed=False)
    ended = Ended(living, tuple(_end_keys(user, keep)), had_factor, had_change)
    _tell(user, ended)
    return ended


def _end_keys(user: User, keep: Collection[int]) -> list[str]:
    ending = [key for key in living_keys(user) if key.id not in keep]
    for key in ending:
        minting.revoke(key, mailed=False)
    return [key.prefix for key in ending]


def _tell(user: User, ended: Ended) -> None:
    facts: dict[str, Any] = {
        "sessions": ended.sessions,
        "keys": list(ended.keys),
        "second_factor": ended.second_factor,
        "email_change": ended.email_change,
    }
    audit.record("account.begun_anew", user_id=user.id, before=facts)
    mail.queue(user, "begun_anew", f"begun_anew:{user.id}:{clock.now().timestamp()}", **facts)
    log.info("account_begun_anew", user_id=user.id, keys=len(ended.keys), sessions=ended.sessions)
