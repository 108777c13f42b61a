"""Where entitlements are remembered: in this process, or in Redis, which all of an operator's machines share.

What is remembered carries the version of its customer's row, so nothing here is ever believed for being here.
"""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
import structlog
from flask import current_app
from redis import Redis, RedisError

from portal.extensions import REDIS_OPTIONS
from portal.settings import current_settings

log = structlog.get_logger()

MOST = 50_000  # customers remembered in one process, some 1 KB each
KEPT_SECONDS = 24 * 3600  # in Redis
PAUSE_SECONDS = 5  # after Redis failed: nobody waits for it meanwhile


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
    """Redis, left alone for a while once it fails: nobody is to wait for it in vain again and again."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, **REDIS_OPTIONS)
        self._again_at = 0.0

    def get(self, key: str) -> Remembered | None:
        """What is known under this key; what somebody else has written there is nothing."""
        found = self._ask("get", key)
        try:
            return _read(orjson.loads(found)) if found else None
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, key: str, known: Remembered) -> None:
        """Remember it for a day."""
        self._ask("set", key, orjson.dumps(asdict(known)), ex=KEPT_SECONDS)

    def _ask(self, command: str, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() < self._again_at:
            return None
        try:
            return getattr(self._redis, command)(*args, **kwargs)
        except RedisError as error:
            self._again_at = time.monotonic() + PAUSE_SECONDS
            log.error("redis_down", error=type(error).__name__, pause=PAUSE_SECONDS)
            return None


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
