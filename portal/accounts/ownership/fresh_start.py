"""Beginning an account anew: if its address is first verified by someone who was not signed in, all earlier
access ends.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import select

from portal import audit, clock, mail
from portal.accounts import users
from portal.accounts.email_change import changes
from portal.accounts.security import recovery_codes
from portal.accounts.sign_in import devices, sessions
from portal.customers import owners
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, Customer, User

log = structlog.get_logger()


@dataclass(frozen=True)
class Ended:
    """What ended: the number of sessions, the prefixes of keys, and whether there was a second factor or an
    email change.
    """

    sessions: int = 0
    keys: tuple[str, ...] = ()
    second_factor: bool = False
    email_change: bool = False


def living_keys(user: User) -> list[ApiKey]:
    """List an account's active keys that its owner is asked about, in both modes, newest first.

    Keys that an operator imported are left out: a product of the customer's runs with them.
    """
    mine = select(Customer.id).where(Customer.user_id == user.id)
    made_here = (ApiKey.customer_id.in_(mine), ApiKey.imported_at.is_(None))
    query = select(ApiKey).where(*made_here, *api_keys.living_at(clock.now()))
    return list(db.session.execute(query.order_by(ApiKey.id.desc())).scalars())


def begin_anew(user: User, password_hash: str, keep: Collection[int]) -> Ended:
    """Set a new password and end all earlier access, except for the keys to keep. Flushes.

    Sessions with their tokens, known browsers, the second factor, a pending change of address and every other key
    end. The account's orders stay with it. Its owner is mailed.
    """
    owners.lock_users(user.email)
    living, had_factor = len(sessions.living(user)), user.has_second_factor
    had_change = changes.pending(user) is not None
    user.begun_anew_at = clock.now()
    user.totp_seed = user.totp_step = user.second_factor_at = None
    recovery_codes.remove(user)
    devices.forget(user)
    changes.end(user)
    users.replace_password(user, password_hash)
    owners.lock_customers(user.email)
    users.report_password_change(user, mailed=False)
    ended = Ended(living, tuple(_end_keys(user, keep)), had_factor, had_change)
    _tell(user, ended)
    return ended


def _end_keys(user: User, keep: Collection[int]) -> list[str]:
    ending = [key for key in living_keys(user) if key.id not in keep]
    for key in ending:
        api_keys.revoke(key, mailed=False)
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
