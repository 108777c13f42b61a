"""How often a caller may call, counted by `limits` itself.

Flask-Limiter, which counts pages and doors, works its limits out anew for each request: a third of what an answer
costs that a product asks for on every request of its own.
"""

import math
import time
from functools import cache

from flask import request
from flask_limiter import RouteLimit
from flask_login import current_user
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


def per_person(limit: str) -> RouteLimit:
    """For views of pages: so often for each signed-in person, and for each address of strangers."""
    return limiter.limit(limit, key_func=_person)


def _person() -> str:
    return f"user:{current_user.id}" if current_user.is_authenticated else f"address:{request.remote_addr}"


@cache
def _parsed(limit: str) -> RateLimitItem:
    return parse(limit)
