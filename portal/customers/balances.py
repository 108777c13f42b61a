"""What a customer has at Stripe: a balance in each currency, and its changes that no invoice shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal import gateway
from portal.models import StripeCustomer

SHOWN = 12  # changes


@dataclass(frozen=True)
class Balance:
    """In minor units of `currency`, never 0. Negative: a credit, which pays the next invoices first."""

    amount: int
    currency: str


@dataclass(frozen=True)
class Change:
    """A change without an invoice, as it was made in the Dashboard. Signed as a balance."""

    amount: int
    currency: str
    at: datetime


def is_any(balance: int, further: dict[str, Any]) -> bool:
    """Return whether our copy has a balance in any currency."""
    return bool(balance or further.get("others"))


def stored(facts: gateway.Customer, changes: Iterable[gateway.BalanceChange]) -> dict[str, Any]:
    """Return what StripeCustomer.balances keeps."""
    newest = [[one.amount, one.currency, one.at.isoformat()] for one in changes]
    return {"others": facts.other_balances, "changes": newest[:SHOWN]}


def of(names: list[StripeCustomer], currency: str | None) -> list[Balance]:
    """List the balances under all ids of a customer. `currency`: if nothing was charged yet."""
    own = [Balance(one.balance, one.currency or currency or "usd") for one in names if one.balance]
    others = (one.balances.get("others", {}) for one in names)
    return own + [Balance(amount, name) for found in others for name, amount in found.items()]


def changes(names: list[StripeCustomer]) -> list[Change]:
    """List the changes without an invoice, newest first."""
    rows = [row for one in names for row in one.balances.get("changes", [])]
    found = [Change(amount, currency, datetime.fromisoformat(at)) for amount, currency, at in rows]
    return sorted(found, key=lambda one: one.at, reverse=True)[:SHOWN]
