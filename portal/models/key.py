"""API keys: key_live_… and key_test_…, 256 random bits and a checksum in base 62."""

import hashlib
import json
import secrets
import string
import zlib
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, pk
from portal.models.customer import Customer

BASE62 = string.digits + string.ascii_letters
RANDOM_BYTES = 32
CHECKSUM_DIGITS = 6
SCOPES = ("read", "spend", "usage")  # what a key may be allowed; all of it unless chosen otherwise


def new_secret(mode: str) -> str:
    """A new key of this mode. By its checksum a mistyped key is told from an unknown one without a look-up."""
    body = _base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES)), 43)
    return f"key_{mode}_{body}{_checksum(f'key_{mode}_{body}')}"


def is_well_formed(secret: str) -> bool:
    """Whether the checksum fits; false saves the database a look."""
    return secret.isascii() and _checksum(secret[:-CHECKSUM_DIGITS]) == secret[-CHECKSUM_DIGITS:]


def digest(secret: str) -> str:
    """What is stored. A plain SHA-256: 256 random bits cannot be guessed, so no slow hash is needed."""
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
    """A customer's key. The secret exists once, in the response that shows it; here is its hash."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "customer_id", "id"),)

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(24))  # the secret's beginning, enough to recognise it
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(default=lambda: list(SCOPES), server_default=json.dumps(SCOPES))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute
    expires_at: Mapped[datetime | None]  # null: never
    rotated_at: Mapped[datetime | None]  # when another took its place; it then lives until expires_at
    revoked_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
