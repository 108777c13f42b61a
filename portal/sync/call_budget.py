"""How many calls to Stripe a scheduled task may make per run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class CallBudget:
    """A number of calls, and how many of them are left. It refuses none: the task stops when too few are left."""

    left: int


_current: ContextVar[CallBudget | None] = ContextVar("call_budget", default=None)


@contextmanager
def limited(calls: int) -> Iterator[CallBudget]:
    """Count the calls to Stripe within the context."""
    budget = CallBudget(calls)
    token = _current.set(budget)
    try:
        yield budget
    finally:
        _current.reset(token)


def count() -> None:
    """Count a call; create_app has the gateway run this before each one."""
    if (budget := _current.get()) is not None:
        budget.left -= 1
