"""The ledger: `post`, `spend`, and balances."""

from dataclasses import replace
from typing import Any

from flask import current_app
from sqlalchemy import select

from portal import clock
from portal.credits import entries, grants
from portal.credits.entries import Draft, ReferenceReused
from portal.errors import PortalError
from portal.extensions import db
from portal.models import CreditEntry, Customer
from portal.sync import locks


class InsufficientCredits(PortalError):
    """A spend that the credits do not cover. Nothing was taken."""

    status = 402
    code = "insufficient_credits"
    title = "Not enough credits"

    def __init__(self, balance: int, required: int) -> None:
        url = f"{current_app.extensions['settings'].base_url}/credits"
        words = f"This takes {required:,} credits, and there are {balance:,}."
        if balance < 0:
            words = f"{-balance:,} credits are owed; the next purchase pays them first."
        super().__init__(words, balance=balance, required=required, top_up_url=url, action=(url, "Buy credits"))


def post(customer_id: int, amount: int, reason: str, reference: str, **facts: Any) -> CreditEntry:
    """Do the same as `entries.post`; taking credits also caps what can still expire. Flushes."""
    entry = entries.post(customer_id, amount, reason, reference, **facts)
    if amount < 0:
        grants.cap(customer_id)
    return entry


def spend(customer_id: int, credits: int, reference: str, description: str = "") -> CreditEntry:
    """Take whole credits, never more than the balance and never expired ones. Flushes.

    Repeating a reference returns the existing entry. Raises InsufficientCredits, ReferenceReused.
    """
    if credits <= 0:
        raise ValueError("a spend takes at least one credit")
    draft = Draft(customer_id, -credits, "spend", reference, description, None, clock.now())
    entry = entries.add(draft, only_if_covered=True) or entries.standing(draft)
    return entry or _spend_under_lock(draft)


def _spend_under_lock(draft: Draft) -> CreditEntry:
    """Spend for customers with grants or too few credits: expire due grants, then use those that expire first."""
    customer = locks.lock(draft.customer_id)
    if entry := entries.standing(draft):  # written while waiting for the lock
        return entry
    if customer.has_grants:
        grants.expire(customer.id, clock.now(customer.clock_at))
    available = balance(customer.id)
    if available + draft.amount < 0:
        raise InsufficientCredits(available, -draft.amount)
    entry = entries.add(replace(draft, created_at=clock.now()))
    assert entry is not None
    if customer.has_grants:
        grants.use(customer.id, -draft.amount)
    return entry


def spend_up_to(customer_id: int, most: int, reference: str, description: str) -> int:
    """Take credits for usage, up to `most`, and return how many. Flushes.

    The caller must record the result in the same transaction, because the available credits change.
    """
    customer = locks.lock(customer_id)
    if customer.has_grants:
        grants.expire(customer_id, clock.now(customer.clock_at))
    credits = min(most, max(balance(customer_id), 0))
    if not credits:
        return 0
    entries.add(Draft(customer_id, -credits, "usage", reference, description, None, clock.now()))
    if customer.has_grants:
        grants.use(customer_id, credits)
    return credits


def balance(customer_id: int) -> int:
    """Return the stored balance in whole credits; negative is debt."""
    query = select(Customer.credit_balance).filter_by(id=customer_id)
    return int(db.session.execute(query).scalar_one())


def spendable(customer_id: int) -> int:
    """Return the credits that can be spent now: the balance without expired credits, never negative."""
    query = select(Customer.credit_balance, Customer.clock_at).filter_by(id=customer_id)
    stored, clock_at = db.session.execute(query).one()
    return max(max(stored, 0) - grants.expired_credits(customer_id, clock.now(clock_at)), 0)


__all__ = ["InsufficientCredits", "ReferenceReused", "balance", "post", "spend", "spend_up_to", "spendable"]
