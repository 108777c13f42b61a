"""How often a caller may call, counted by `limits` itself.

Flask-Limiter, which counts pages and doors, works its limits out anew for each request: a third of what an answer
costs that a product asks for on every request of its own.
"""

import math
import time
from functools import cache

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from portal.breaker import Breaker
from portal.extensions import limiter

_breaker = Breaker()
_alone = FixedWindowRateLimiter(MemoryStorage())  # while Redis is down each process counts by itself


def count(limit: str, key: str) -> None:
    """Count a call of this key; "3000/minute" is a limit. Raises TooManyRequests beyond it."""
    if not limiter.enabled:
        return
    item = _parsed(limit)
    if _breaker.ask(lambda: limiter.limiter.hit(item, key), lambda: _alone.hit(item, key)):
        return
    stats = _breaker.ask(
        lambda: limiter.limiter.get_window_stats(item, key), lambda: _alone.get_window_stats(item, key)
    )
    raise TooManyRequests(retry_after=max(1, math.ceil(stats.reset_time - time.time())))


@cache
def _parsed(limit: str) -> RateLimitItem:
    return parse(limit)
