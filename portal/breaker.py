"""Doing without something that fails, for a while, so that nobody waits for it in vain again and again."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis import RedisError

log = structlog.get_logger()
T = TypeVar("T")

PAUSE_SECONDS = 5


class Breaker:
    """Asks Redis, or does otherwise while it has failed within the last seconds."""

    def __init__(self) -> None:
        self._again_at = 0.0

    def ask(self, question: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """What the question gives; what is given otherwise, where it raises or has raised a moment ago."""
        if time.monotonic() < self._again_at:
            return otherwise()
        try:
            return question()
        except RedisError as error:
            self._again_at = time.monotonic() + PAUSE_SECONDS
            log.error("redis_down", error=type(error).__name__, pause=PAUSE_SECONDS)
            return otherwise()
