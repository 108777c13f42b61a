"""Whether what runs is only rehearsed: it reads as ever, and leaves no trace, here or at Stripe."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_under_way: ContextVar[bool] = ContextVar("rehearsal", default=False)


class WouldAct(Exception):
    """The rehearsed work wants something done at Stripe; it ends here."""


def under_way() -> bool:
    """Whether nothing may be done for good now."""
    return _under_way.get()


@contextmanager
def rehearsing() -> Iterator[None]:
    """Everything inside is only rehearsed; whoever asks for it rolls the database back."""
    token = _under_way.set(True)
    try:
        yield
    finally:
        _under_way.reset(token)
