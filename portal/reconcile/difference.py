"""What a reconciliation finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Two things that should agree. `about` is an id: a customer's, an order's number, or Stripe's."""

    mode: str
    what: str
    about: str
    expected: str
    found: str
