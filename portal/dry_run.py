"""Dry runs: code reads as usual, but changes nothing here or at Stripe."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_under_way: ContextVar[bool] = ContextVar("rehearsal", default=False)


class WouldAct(Exception):
    """The dry run reached a call that changes something at Stripe, where it ends."""


def under_way() -> bool:
    """Return whether this is a dry run."""
    return _under_way.get()


@contextmanager
def rehearsing() -> Iterator[None]:
    """Make everything within the context a dry run. The caller rolls the database back."""
    token = _under_way.set(True)
    try:
        yield
    finally:
        _under_way.reset(token)
