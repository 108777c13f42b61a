"""A circuit breaker, so that requests don't wait repeatedly for a service that fails."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis import RedisError

log = structlog.get_logger()
T = TypeVar("T")

PAUSE_SECONDS = 5


class Breaker:
    """Calls Redis, or a fallback while Redis has failed within the last seconds. `faults` are its errors."""

    def __init__(self, faults: tuple[type[Exception], ...] = (RedisError,)) -> None:
        self._faults = faults
        self._again_at = 0.0

    def ask(self, question: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Return the result of `question`; the result of `otherwise` if it fails or has just failed."""
        if time.monotonic() < self._again_at:
            return otherwise()
        try:
            return question()
        except self._faults as error:
            self._again_at = time.monotonic() + PAUSE_SECONDS
            log.error("redis_down", error=type(error).__name__, pause=PAUSE_SECONDS)
            return otherwise()
