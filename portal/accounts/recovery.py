"""Recovery codes: they stand in for a lost second factor, each once."""

import secrets

from sqlalchemy import delete, func, insert, select, update

from portal import clock, tokens
from portal.extensions import db
from portal.models import RecoveryCode, User

COUNT = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what is mistaken for another on paper
LENGTH = 24  # 118 random bits, so that a plain hash keeps them (ASVS 6.5.2 asks for 112)
GROUP = 4


def make(user: User) -> list[str]:
    """Ten new codes, as they are shown this once; older ones are void. Flushes."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(COUNT)]
    remove(user)
    db.session.execute(
        insert(RecoveryCode), [{"user_id": user.id, "code_hash": tokens.digest(one)} for one in codes]
    )
    return ["-".join(one[start : start + GROUP] for start in range(0, LENGTH, GROUP)) for one in codes]


def redeem(user: User, code: str) -> bool:
    """Use a code up, however its groups are written; False where it is none of the user's unused ones."""
    plain = "".join(code.lower().replace("-", "").split())
    unused = (RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    statement = update(RecoveryCode).where(*unused, RecoveryCode.code_hash == tokens.digest(plain))
    found = db.session.execute(statement.values(used_at=clock.now()).returning(RecoveryCode.id))
    return found.scalar_one_or_none() is not None


def left(user: User) -> int:
    """How many of the user's codes are unused."""
    query = select(func.count()).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return db.session.execute(query).scalar_one()


def remove(user: User) -> None:
    """No codes any more. Flushes."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
