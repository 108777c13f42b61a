"""Searching hundreds of thousands of users: by email, by any Stripe id, by the prefix of an API key."""

import re
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from portal.enums import Mode
from portal.errors import Conflict, NotFound
from portal.extensions import db
from portal.models import ApiKey, Customer, Invoice, Order, Payment, StripeCustomer, Subscription, User

PAGE = 50


def page(words: str = "", before: int | None = None, size: int = PAGE) -> tuple[list[User], int | None]:
    """Return the matching users below the id `before`, newest first, and the last one's id if there are more."""
    query = select(User)
    if words := words.strip():
        query = query.where(_fitting(words))
    if before is not None:
        query = query.where(User.id < before)
    found = list(db.session.execute(query.order_by(User.id.desc()).limit(size + 1)).scalars())
    return found[:size], found[size - 1].id if len(found) > size else None


def presentable(words: str) -> str:
    """Return the words as they may appear in a URL: of an API key only the prefix, which finds it too."""
    words = words.strip()
    return words[:PREFIX] if words.startswith("key_") else words


def by_id(user_id: int) -> User:
    """Return the user with this id. Raises NotFound for a deleted one."""
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user, or not any more.")
    return user


def still_here(user_id: int) -> User:
    """Return the same, to sell or grant something. Raises Conflict for a user who deleted their account."""
    user = by_id(user_id)
    if user.deleted_at is not None:
        raise Conflict("This user has deleted their account, so nothing is bought or given any more.")
    return user


def _fitting(words: str) -> ColumnElement[bool]:
    lookups = _lookups(words)
    if not lookups:
        return User.email.contains(words.lower(), autoescape=True)
    owners = or_(*(Customer.id.in_(lookup) for lookup in lookups))
    return User.id.in_(select(Customer.user_id).where(owners))


def _lookups(words: str) -> list[Select[Any]]:
    """Return the queries for customers with this id; none for an email address."""
    modes = [*Mode]
    kind = words.split("_", 1)[0] if "_" in words and "@" not in words else ""
    if kind == "cus":
        return [_of(StripeCustomer, StripeCustomer.mode.in_(modes), StripeCustomer.stripe_id == words)]
    if kind == "sub":
        return [_of(Subscription, Subscription.mode.in_(modes), Subscription.stripe_id == words)]
    if kind == "in":
        return [_of(Invoice, Invoice.mode.in_(modes), Invoice.stripe_id == words)]
    if kind == "pi":
        paid = _of(Payment, Payment.mode.in_(modes), Payment.stripe_id == words)
        return [_of(Order, Order.payment_intent == words), paid]
    if kind == "ch":
        return [_of(Payment, Payment.charge_id == words)]
    if kind == "cs":
        return [_of(Order, Order.mode.in_(modes), Order.session_id == words)]
    if kind == "key":
        return [_of(ApiKey, ApiKey.prefix == words[:PREFIX])]
    number = words.upper()  # in any capitalization
    if number.startswith("PO-"):
        return [_of(Order, Order.number == number)]
    return [_of(Invoice, Invoice.number == number)] if INVOICE.fullmatch(number) else []


INVOICE = re.compile(
    r"(?<![A-Z0-9-])[A-Z0-9]{2,}(-[A-Z0-9]+)*-\d{3,}"
)  # an invoice number of Stripe: 8K6HF7OP-0001
PREFIX = len("key_live_") + 8  # the stored part of a key


def _of(model: Any, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(model.customer_id).where(*conditions)
