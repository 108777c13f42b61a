"""The cache of entitlements: in this process, or in Redis, which all of an operator's machines share.

Each cached value carries the version of its customer's row, so an outdated value is never used.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from flask import current_app
from redis import Redis

from portal.api.circuit_breaker import Breaker
from portal.extensions import REDIS_OPTIONS
from portal.settings import current_settings

MOST = 50_000  # customers cached per process, about 1 KB each
KEPT_SECONDS = 24 * 3600  # in Redis


@dataclass(frozen=True, slots=True)
class Remembered:
    """The facts, their version, and when they change by time alone (grace, a scheduled end)."""

    version: int
    until: datetime | None
    facts: dict[str, Any]


class Cache(Protocol):
    """A cache, by key."""

    def get(self, key: str) -> Remembered | None:
        """Return the cached value; None if there is none or the cache is unavailable."""

    def put(self, key: str, known: Remembered) -> None:
        """Store the value, if possible."""


class InProcess:
    """A dict that is cleared when it is full."""

    def __init__(self) -> None:
        self._kept: dict[str, Remembered] = {}

    def get(self, key: str) -> Remembered | None:
        """Return the cached value."""
        return self._kept.get(key)

    def put(self, key: str, known: Remembered) -> None:
        """Store the value."""
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = known


class InRedis:
    """Redis. While it is down, nothing is cached."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, **REDIS_OPTIONS)
        self._breaker = Breaker()

    def get(self, key: str) -> Remembered | None:
        """Return the cached value. A value in another format is ignored."""
        found: Any = self._breaker.ask(lambda: self._redis.get(key), lambda: None)
        try:
            return _read(orjson.loads(found)) if found else None
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, key: str, known: Remembered) -> None:
        """Store the value for a day."""
        stored = orjson.dumps(asdict(known))
        self._breaker.ask(lambda: self._redis.set(key, stored, ex=KEPT_SECONDS), lambda: None)


def _read(stored: dict[str, Any]) -> Remembered:
    until = stored["until"] and datetime.fromisoformat(stored["until"])
    return Remembered(int(stored["version"]), until, dict(stored["facts"]))


def of_app() -> Cache:
    """Return this app's cache, one per process."""
    cache: Cache | None = current_app.extensions.get("entitlements")
    if cache is None:
        url = current_settings().redis_url
        cache = current_app.extensions["entitlements"] = InRedis(url) if url else InProcess()
    return cache
