"""Creating, rotating and revoking API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, or_, select, update

from portal import audit, clock, mail
from portal.errors import Conflict
from portal.extensions import db, rows_changed
from portal.models import ApiKey, Customer
from portal.models.key import SCOPES, VISIBLE_CHARACTERS, digest, new_secret
from portal.web.pages import rfc3339

log = structlog.get_logger()

Facts = dict[str, Any]


def mint(
    customer: Customer, name: str, scopes: Sequence[str] = SCOPES, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Return a new key and its secret, which exists only in this return value, and mail the owner. Flushes.

    Without `expires_at` it never expires.
    """
    key, secret = _new(customer, name, scopes, expires_at)
    _tell(key, "made", after={"scopes": key.scopes, "expires_at": rfc3339(expires_at)})
    return key, secret


def rotate(key: ApiKey, overlap: timedelta) -> tuple[ApiKey, str]:
    """Return a copy of this key, which itself works only for the overlap from now on. Flushes.

    The new key keeps this key's original expiry. Raises Conflict if this key has ended or was already rotated.
    """
    now = clock.now()
    ends_at = min(now + overlap, key.expires_at or now + overlap)
    alive = (ApiKey.id == key.id, ApiKey.rotated_at.is_(None), *living_at(now))
    statement = update(ApiKey).where(*alive).values(rotated_at=now, expires_at=ends_at)
    lasts = key.expires_at and key.expires_at - key.created_at
    if not rows_changed(statement):
        raise Conflict("This key was rotated or revoked already. Take the newer one, or make another.")
    made, secret = _new(key.customer, key.name, key.scopes, now + lasts if lasts else None)
    _tell(made, "rotated", before={"key": key.id}, after={"old_ends_at": rfc3339(ends_at)})
    return made, secret


def revoke(key: ApiKey, *, mailed: bool = True) -> None:
    """Revoke a key immediately. Can be repeated. `mailed` is False if another mail reports it. Flushes."""
    statement = update(ApiKey).where(ApiKey.id == key.id, ApiKey.revoked_at.is_(None))
    if rows_changed(statement.values(revoked_at=clock.now())):
        _tell(key, "revoked", mailed=mailed)


def living(customer: Customer) -> list[ApiKey]:
    """List the customer's active keys, newest first."""
    query = select(ApiKey).where(ApiKey.customer_id == customer.id, *living_at(clock.now()))
    return list(db.session.execute(query.order_by(ApiKey.id.desc())).scalars())


def living_at(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a key works."""
    return (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))


def all_of(customer: Customer) -> list[ApiKey]:
    """List every key of the customer, active ones before revoked ones, newest first."""
    order = (ApiKey.revoked_at.is_not(None), ApiKey.id.desc())
    query = select(ApiKey).filter_by(customer_id=customer.id).order_by(*order)
    return list(db.session.execute(query).scalars())


def _new(customer: Customer, name: str, scopes: Sequence[str], expires_at: datetime | None) -> tuple[ApiKey, str]:
    prefix = f"key_{customer.mode}_"
    secret = new_secret(prefix)
    key = ApiKey(
        customer=customer,
        name=name,
        scopes=list(scopes),
        prefix=secret[: len(prefix) + VISIBLE_CHARACTERS],
        hash=digest(secret),
        created_at=clock.now(),
        expires_at=expires_at,
    )
    db.session.add(key)
    db.session.flush()
    return key, secret


def _tell(
    key: ApiKey, what: str, before: Facts | None = None, after: Facts | None = None, *, mailed: bool = True
) -> None:
    """Write the change of a key to the audit log, and mail its owner, in case it was somebody else."""
    after = {"key": key.prefix, **(after or {})}
    audit.record(f"key.{what}", customer_id=key.customer_id, subject=str(key.id), before=before, after=after)
    context = {"what": what, "name": key.name, "prefix": key.prefix, "page": mail.external("keys.index")}
    if mailed:
        mail.tell(key.customer, "api_key", f"api_key:{what}:{key.id}", **context)
    log.info(f"key_{what}", key=key.id, customer=key.customer_id)
