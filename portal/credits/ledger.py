"""The ledger: `post`, `spend`, and what a customer has."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import select

from portal import clock
from portal.credits import entries, grants
from portal.credits.entries import Draft, ReferenceReused
from portal.customers import locks
from portal.errors import PortalError
from portal.extensions import db
from portal.models import CreditEntry, Customer


class InsufficientCredits(PortalError):
    """A spend that the credits do not cover: nothing was taken."""

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
    """The same as `entries.post`; what is taken caps what may still expire. Flushes."""
    entry = entries.post(customer_id, amount, reason, reference, **facts)
    if amount < 0:
        grants.cap(customer_id)
    return entry


def spend(customer_id: int, credits: int, reference: str, description: str = "") -> CreditEntry:
    """Take whole credits, never more than there are and never what has expired. Flushes.

    The same reference again gives the entry that stands. Raises InsufficientCredits, ReferenceReused.
    """
    if credits <= 0:
        raise ValueError("a spend takes at least one credit")
    draft = Draft(customer_id, -credits, "spend", reference, description, None, clock.now())
    entry = entries.add(draft, only_if_covered=True) or entries.standing(draft)
    return entry or _spend_under_lock(draft)


def _spend_under_lock(draft: Draft) -> CreditEntry:
    """The slow way, for who has grants or too little: expire what is due, then use what expires first."""
    customer = locks.lock(draft.customer_id)
    if entry := entries.standing(draft):  # written while the lock was waited for
        return entry
    if customer.has_grants:
        grants.expire(customer.id, draft.created_at)
    available = balance(customer.id)
    if available + draft.amount < 0:
        raise InsufficientCredits(available, -draft.amount)
    entry = entries.add(replace(draft, created_at=clock.now()))
    assert entry is not None
    if customer.has_grants:
        grants.use(customer.id, -draft.amount)
    return entry


def spend_up_to(customer_id: int, most: int, reference: str, description: str) -> int:
    """Take credits for usage, as many as there are up to `most`; gives how many. Flushes.

    Whoever calls it remembers in the same transaction that it did: what is there to take changes.
    """
    customer = locks.lock(customer_id)
    if customer.has_grants:
        grants.expire(customer_id, clock.now())
    credits = min(most, max(balance(customer_id), 0))
    if not credits:
        return 0
    entries.add(Draft(customer_id, -credits, "usage", reference, description, None, clock.now()))
    if customer.has_grants:
        grants.use(customer_id, credits)
    return credits


def balance(customer_id: int) -> int:
    """The stored balance in whole credits; below zero is debt."""
    query = select(Customer.credit_balance).filter_by(id=customer_id)
    return int(db.session.execute(query).scalar_one())


def spendable(customer_id: int, now: datetime | None = None) -> int:
    """What can be spent at this time: the balance without what has expired, swept or not; never below zero."""
    stored = max(balance(customer_id), 0)
    return max(stored - grants.expired_credits(customer_id, clock.now(now)), 0)


__all__ = ["InsufficientCredits", "ReferenceReused", "balance", "post", "spend", "spend_up_to", "spendable"]
