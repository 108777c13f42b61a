"""API keys of customers (key_live_…, key_test_…) and operator keys (opk_…): 256 random bits and a checksum."""

import hashlib
import json
import secrets
import string
import zlib
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, pk
from portal.models.customer import Customer

BASE62 = string.digits + string.ascii_letters
RANDOM_BYTES = 32
CHECKSUM_DIGITS = 6
VISIBLE_CHARACTERS = 8  # of the random part: enough to tell keys apart, useless for guessing
SCOPES = ("read", "spend", "usage")  # what a key may be allowed to do; a new key gets all of them by default
TOUCH_EVERY = timedelta(minutes=1)  # the precision of `last_used_at`
OPERATOR_PREFIX = "opk_"
OPERATOR_SCOPES = ("usage:report", "usage:void", "customers:read", "sign_in_links")


def new_secret(prefix: str) -> str:
    """Return a new key with this prefix. Its checksum tells a mistyped key from an unknown one without a
    database lookup.
    """
    body = prefix + _base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES)), 43)
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Return whether the checksum fits. A wrong checksum saves a database lookup."""
    return secret.isascii() and _checksum(secret[:-CHECKSUM_DIGITS]) == secret[-CHECKSUM_DIGITS:]


def digest(secret: str) -> str:
    """Return the hash to store. Plain SHA-256 is enough: 256 random bits cannot be guessed, so no slow hash is
    needed.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), CHECKSUM_DIGITS)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, len(BASE62))
        text = BASE62[digit] + text
    return text


class ApiKey(Base):
    """A customer's API key, stored as a hash. The secret exists only in the response that shows it."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "customer_id", "id"),)

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(24))  # the beginning of the secret, enough to recognize it
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(default=lambda: list(SCOPES), server_default=json.dumps(SCOPES))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute
    expires_at: Mapped[datetime | None]  # null: never
    rotated_at: Mapped[datetime | None]  # when it was replaced; it then works until expires_at
    revoked_at: Mapped[datetime | None]
    # When it was imported from an earlier system, so that it has another form than ours; null: made here.
    imported_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)


class OperatorKey(Base):
    """A key of the operator's own services. It belongs to no customer, and only the command line creates one."""

    __tablename__ = "operator_keys"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(24))  # the beginning of the secret, enough to recognize it
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]  # some of OPERATOR_SCOPES
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute
    expires_at: Mapped[datetime | None]  # null: never
    revoked_at: Mapped[datetime | None]
