"""Where entitlements are remembered: in this process, or in Redis, which all of an operator's machines share.

What is remembered carries the version of its customer's row, so nothing here is ever believed for being here.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from flask import current_app
from redis import Redis

from portal.breaker import Breaker
from portal.extensions import REDIS_OPTIONS
from portal.settings import current_settings

MOST = 50_000  # customers remembered in one process, some 1 KB each
KEPT_SECONDS = 24 * 3600  # in Redis


@dataclass(frozen=True, slots=True)
class Remembered:
    """Facts, the version they belong to, and when time alone ends them (grace, a scheduled end)."""

    version: int
    until: datetime | None
    facts: dict[str, Any]


class Cache(Protocol):
    """What remembers, by key."""

    def get(self, key: str) -> Remembered | None:
        """What is known under this key; None: nothing, or it cannot be asked."""

    def put(self, key: str, known: Remembered) -> None:
        """Remember it, if that is possible."""


class InProcess:
    """A dict, which starts anew when it is full."""

    def __init__(self) -> None:
        self._kept: dict[str, Remembered] = {}

    def get(self, key: str) -> Remembered | None:
        """What is known under this key."""
        return self._kept.get(key)

    def put(self, key: str, known: Remembered) -> None:
        """Remember it."""
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = known


class InRedis:
    """Redis; nothing is known while it is down."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, **REDIS_OPTIONS)
        self._breaker = Breaker()

    def get(self, key: str) -> Remembered | None:
        """What is known under this key; what somebody else has written there is nothing."""
        found: Any = self._breaker.ask(lambda: self._redis.get(key), lambda: None)
        try:
            return _read(orjson.loads(found)) if found else None
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, key: str, known: Remembered) -> None:
        """Remember it for a day."""
        stored = orjson.dumps(asdict(known))
        self._breaker.ask(lambda: self._redis.set(key, stored, ex=KEPT_SECONDS), lambda: None)


def _read(stored: dict[str, Any]) -> Remembered:
    until = stored["until"] and datetime.fromisoformat(stored["until"])
    return Remembered(int(stored["version"]), until, dict(stored["facts"]))


def of_app() -> Cache:
    """This app's: one for each process."""
    cache: Cache | None = current_app.extensions.get("entitlements")
    if cache is None:
        url = current_settings().redis_url
        cache = current_app.extensions["entitlements"] = InRedis(url) if url else InProcess()
    return cache
