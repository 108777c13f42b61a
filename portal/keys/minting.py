"""Making and revoking API keys."""

import structlog
from sqlalchemy import select, update

from portal import clock
from portal.extensions import db
from portal.models import ApiKey, Customer
from portal.models.key import digest, new_secret

log = structlog.get_logger()

PREFIX_CHARACTERS = 8  # of the random part: enough to tell keys apart, useless for guessing


def mint(customer: Customer, name: str) -> tuple[ApiKey, str]:
    """A new key and its secret, which exists nowhere but in this return value. Flushes."""
    secret = new_secret(customer.mode)
    visible = len(f"key_{customer.mode}_") + PREFIX_CHARACTERS
    key = ApiKey(
        customer_id=customer.id,
        name=name,
        prefix=secret[:visible],
        hash=digest(secret),
        created_at=clock.now(),
    )
    db.session.add(key)
    db.session.flush()
    log.info("key_made", key=key.id, customer=customer.id)
    return key, secret


def revoke(key: ApiKey) -> None:
    """End a key at once; a second time changes nothing. Flushes."""
    statement = update(ApiKey).where(ApiKey.id == key.id, ApiKey.revoked_at.is_(None))
    db.session.execute(statement.values(revoked_at=clock.now()))
    log.info("key_revoked", key=key.id, customer=key.customer_id)


def living(customer: Customer) -> list[ApiKey]:
    """The customer's keys that work now, newest first."""
    now = clock.now()
    keys = db.session.execute(
        select(ApiKey).filter_by(customer_id=customer.id, revoked_at=None).order_by(ApiKey.id.desc())
    ).scalars()
    return [key for key in keys if key.expires_at is None or key.expires_at > now]


def all_of(customer: Customer) -> list[ApiKey]:
    """Every key of the customer, living ones before revoked ones, newest first."""
    order = (ApiKey.revoked_at.is_not(None), ApiKey.id.desc())
    query = select(ApiKey).filter_by(customer_id=customer.id).order_by(*order)
    return list(db.session.execute(query).scalars())
