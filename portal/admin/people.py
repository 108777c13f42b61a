"""Finding users, by the hundred thousand: by mail, by any of Stripe's ids, by the beginning of an API key."""

import re
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from portal.errors import Conflict, NotFound
from portal.extensions import db
from portal.models import ApiKey, Customer, Invoice, Payment, Purchase, StripeCustomer, Subscription, User

PAGE = 50


def page(words: str = "", before: int | None = None, size: int = PAGE) -> tuple[list[User], int | None]:
    """The users that fit, the newest first, below the id `before`; and the last one's id where more follow."""
    query = select(User)
    if words := words.strip():
        query = query.where(_fitting(words))
    if before is not None:
        query = query.where(User.id < before)
    found = list(db.session.execute(query.order_by(User.id.desc()).limit(size + 1)).scalars())
    return found[:size], found[size - 1].id if len(found) > size else None


def presentable(words: str) -> str:
    """The same as it may stand in an address: of an API key only the beginning, which finds it too."""
    words = words.strip()
    return words[:PREFIX] if words.startswith("key_") else words


def by_id(user_id: int) -> User:
    """The user of this id. Raises NotFound for one that is not there any more."""
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user, or not any more.")
    return user


def still_here(user_id: int) -> User:
    """The same, for what is bought or given. Raises Conflict for who deleted their account: they are forgotten."""
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
    """Whose the id may be, as queries for customers; none for what looks like a mail address."""
    modes = ("live", "test")
    kind = words.split("_", 1)[0] if "_" in words and "@" not in words else ""
    if kind == "cus":
        return [_of(StripeCustomer, StripeCustomer.mode.in_(modes), StripeCustomer.stripe_id == words)]
    if kind == "sub":
        return [_of(Subscription, Subscription.mode.in_(modes), Subscription.stripe_id == words)]
    if kind == "in":
        return [_of(Invoice, Invoice.mode.in_(modes), Invoice.stripe_id == words)]
    if kind == "pi":
        paid = _of(Payment, Payment.mode.in_(modes), Payment.stripe_id == words)
        return [_of(Purchase, Purchase.payment_intent == words), paid]
    if kind == "ch":
        return [_of(Payment, Payment.charge_id == words)]
    if kind == "cs":
        return [_of(Purchase, Purchase.mode.in_(modes), Purchase.session_id == words)]
    if kind == "key":
        return [_of(ApiKey, ApiKey.prefix == words[:PREFIX])]
    number = words.upper()  # as somebody may type it
    if number.startswith("PO-"):
        return [_of(Purchase, Purchase.number == number)]
    return [_of(Invoice, Invoice.number == number)] if INVOICE.fullmatch(number) else []


INVOICE = re.compile(
    r"(?<![A-Z0-9-])[A-Z0-9]{2,}(-[A-Z0-9]+)*-\d{3,}"
)  # a number as Stripe gives it: 8K6HF7OP-0001
PREFIX = len("key_live_") + 8  # as much of a key as is kept


def _of(model: Any, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(model.customer_id).where(*conditions)
