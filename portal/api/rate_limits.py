"""Rate limits of API calls, counted with the `limits` library directly.

Flask-Limiter, which counts pages and sign-in forms, evaluates its limits again for each request. That would take a
third of the time of a call that products make with every request.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from flask_limiter import RouteLimit
from flask_login import current_user
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter
from werkzeug.exceptions import TooManyRequests

from portal.api.circuit_breaker import Breaker
from portal.errors import TooManyTries
from portal.extensions import client_network, limiter

_breaker = Breaker()
_alone = FixedWindowRateLimiter(MemoryStorage())  # while Redis is down, each process counts separately


def count(limit: str, key: str) -> None:
    """Count a call of this key; a limit is "3000/minute". Raises TooManyRequests beyond it."""
    if not limiter.enabled:
        return
    item = _parsed(limit)
    if not _hit(item, key):
        raise TooManyRequests(retry_after=_rest(item, key))


@dataclass(frozen=True)
class Taken:
    """An attempt that was counted in several windows."""

    windows: tuple[tuple[RateLimitItem, str], ...]

    def give_back(self) -> None:
        """Remove the attempt from the counts."""
        for item, key in self.windows:
            _breaker.ask(partial(_add, limiter.limiter, item, key, -1), partial(_add, _alone, item, key, -1))


def take(limits: Sequence[str], *keys: str) -> Taken:
    """Count an attempt in each of these windows for each key, or in none.

    Raises TooManyTries with the remaining seconds of the fullest window.
    """
    windows = tuple((_parsed(limit), key) for key in keys for limit in limits)
    full = [(item, key) for item, key in windows if not _hit(item, key)]
    if full:
        Taken(windows).give_back()
        raise TooManyTries(max(_rest(item, key) for item, key in full))
    return Taken(windows)


def _hit(item: RateLimitItem, key: str) -> bool:
    return _breaker.ask(lambda: limiter.limiter.hit(item, key), lambda: _alone.hit(item, key))


def _add(counter: RateLimiter, item: RateLimitItem, key: str, amount: int) -> None:
    counter.storage.incr(item.key_for(key), item.get_expiry(), amount)


def _rest(item: RateLimitItem, key: str) -> int:
    """Return the seconds until a window ends, at least 1."""
    stats = _breaker.ask(
        lambda: limiter.limiter.get_window_stats(item, key), lambda: _alone.get_window_stats(item, key)
    )
    return max(1, math.ceil(stats.reset_time - time.time()))


def per_person(limit: str) -> RouteLimit:
    """Limit a page's view per signed-in user, and per network address for visitors."""
    return limiter.limit(limit, key_func=_person)


def _person() -> str:
    return f"user:{current_user.id}" if current_user.is_authenticated else f"address:{client_network()}"


@cache
def _parsed(limit: str) -> RateLimitItem:
    return parse(limit)
