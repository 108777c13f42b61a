"""Recovery codes, each of which replaces a lost second factor once."""

import secrets

from sqlalchemy import delete, func, insert, select, update

from portal import clock, tokens
from portal.extensions import db
from portal.models import RecoveryCode, User

COUNT = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without characters that look alike on paper
LENGTH = 24  # 118 random bits, enough for a plain hash (ASVS 6.5.2 asks for 112)
GROUP = 4


def make(user: User) -> list[str]:
    """Return ten new codes, shown only once; older ones are void. Flushes."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(COUNT)]
    remove(user)
    db.session.execute(
        insert(RecoveryCode), [{"user_id": user.id, "code_hash": tokens.digest(one)} for one in codes]
    )
    return ["-".join(one[start : start + GROUP] for start in range(0, LENGTH, GROUP)) for one in codes]


def redeem(user: User, code: str) -> bool:
    """Use a code up, with any grouping; return False if it is not one of the user's unused codes."""
    plain = "".join(code.lower().replace("-", "").split())
    unused = (RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    statement = update(RecoveryCode).where(*unused, RecoveryCode.code_hash == tokens.digest(plain))
    found = db.session.execute(statement.values(used_at=clock.now()).returning(RecoveryCode.id))
    return found.scalar_one_or_none() is not None


def left(user: User) -> int:
    """Return the number of the user's unused codes."""
    query = select(func.count()).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return db.session.execute(query).scalar_one()


def remove(user: User) -> None:
    """Delete all codes. Flushes."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
