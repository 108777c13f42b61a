"""Operator keys: creating, listing and revoking them, which only the command line does."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import select, update

from portal import audit, clock
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, rows_changed
from portal.models import OperatorKey
from portal.models.key import OPERATOR_PREFIX, OPERATOR_SCOPES, VISIBLE_CHARACTERS, digest, new_secret
from portal.web.pages import rfc3339

log = structlog.get_logger()

MAX_NAME = 100


def create(name: str, scopes: Sequence[str], expires_at: datetime | None = None) -> tuple[OperatorKey, str]:
    """Return a new operator key and its secret, which exists nowhere else. Flushes.

    Without `expires_at` it never expires. Raises InvalidInput for an invalid name, a missing or unknown scope, or
    a past time.
    """
    chosen = [scope for scope in OPERATOR_SCOPES if scope in scopes]
    unknown = sorted(set(scopes) - set(OPERATOR_SCOPES))
    if not 0 < len(name := name.strip()) <= MAX_NAME or not name.isprintable():
        raise InvalidInput(f"Give the key a name of 1 to {MAX_NAME} characters.", errors={"name": "1 to 100"})
    if unknown or not chosen:
        words = f"Choose one or more of the scopes {', '.join(OPERATOR_SCOPES)}."
        raise InvalidInput(words, errors={"scopes": ", ".join(unknown) or "none"})
    if expires_at is not None and expires_at <= clock.now():
        raise InvalidInput("The key would have expired already.", errors={"expires_at": "in the past"})
    secret = new_secret(OPERATOR_PREFIX)
    key = OperatorKey(
        name=name,
        scopes=chosen,
        prefix=secret[: len(OPERATOR_PREFIX) + VISIBLE_CHARACTERS],
        hash=digest(secret),
        created_at=clock.now(),
        expires_at=expires_at,
    )
    db.session.add(key)
    db.session.flush()
    after = {"key": key.prefix, "scopes": chosen, "expires_at": rfc3339(expires_at)}
    audit.record("operator_key.made", subject=str(key.id), after=after)
    log.info("operator_key_made", operator_key=key.id, scopes=chosen)
    return key, secret


def revoke(key_id: int) -> OperatorKey:
    """Revoke an operator key now. Can be repeated. Flushes. Raises NotFound."""
    key = db.session.get(OperatorKey, key_id)
    if key is None:
        raise NotFound(f"There is no operator key with the id {key_id}.")
    alive = (OperatorKey.id == key_id, OperatorKey.revoked_at.is_(None))
    if rows_changed(update(OperatorKey).where(*alive).values(revoked_at=clock.now())):
        audit.record("operator_key.revoked", subject=str(key_id), after={"key": key.prefix})
        log.info("operator_key_revoked", operator_key=key_id)
    return key


def everyone() -> Sequence[OperatorKey]:
    """Return all operator keys, including revoked and expired ones, oldest first."""
    return db.session.execute(select(OperatorKey).order_by(OperatorKey.id)).scalars().all()


def state(key: OperatorKey, now: datetime) -> str:
    """Return "active", "expired" or "revoked"."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"
