"""Searching an inbox with millions of events: pages of a filtered list, one event, and its effects."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select, tuple_

from portal.enums import Mode
from portal.errors import NotFound
from portal.extensions import db
from portal.models import AuditEntry, StripeCustomer, StripeEvent, User
from portal.models.customer import Customer
from portal.webhooks.handlers import HANDLERS

PAGE = 50


@dataclass(frozen=True)
class Filter:
    """The filter; empty fields match all. `about` is an email address, or the id of an event, object or
    customer.
    """

    type: str = ""
    state: str = ""
    mode: str = ""  # either where empty
    about: str = ""
    since: datetime | None = None
    until: datetime | None = None


def page(wanted: Filter, before: int | None = None, size: int = PAGE) -> tuple[list[StripeEvent], int | None]:
    """Return the newest matching events below the id `before`, and the last one's id if there are more."""
    query = select(StripeEvent).where(*_conditions(wanted))
    if before is not None:
        query = query.where(StripeEvent.id < before)
    found = list(db.session.execute(query.order_by(StripeEvent.id.desc()).limit(size + 1)).scalars())
    return found[:size], found[size - 1].id if len(found) > size else None


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    equal = {"state": wanted.state, "mode": wanted.mode}
    conditions = [getattr(StripeEvent, name) == value for name, value in equal.items() if value]
    if wanted.type:  # a full type, or the beginning of handled types: "invoice"
        handled = (one for one in HANDLERS if one.startswith(f"{wanted.type}."))
        conditions.append(StripeEvent.type.in_([wanted.type, *handled]))
    # Ids follow the order of arrival, so a time limit becomes an id limit, along the list's own order.
    if wanted.since:
        conditions.append(StripeEvent.id >= _first(wanted.since))
    if wanted.until:
        conditions.append(StripeEvent.id < _first(wanted.until))
    if wanted.about:
        conditions.append(_about(wanted.about))
    return conditions


def _first(moment: datetime) -> ColumnElement[int]:
    """Return the id of the first event at or after this time; if there is none, an id that is not used yet."""
    later = select(StripeEvent.id).where(StripeEvent.received_at >= moment)
    first = later.order_by(StripeEvent.received_at, StripeEvent.id).limit(1).scalar_subquery()
    newest = select(func.max(StripeEvent.id) + 1).scalar_subquery()
    return func.coalesce(first, newest)


def _about(word: str) -> ColumnElement[bool]:
    if "@" in word:
        names: Select[str, str | None] = (
            select(StripeCustomer.mode, StripeCustomer.stripe_id)
            .join(Customer, Customer.id == StripeCustomer.customer_id)
            .join(User, User.id == Customer.user_id)
            .where(User.email == word.strip().lower())
        )
        return tuple_(StripeEvent.mode, StripeEvent.customer_ref).in_(names)
    if word.startswith("cus_"):
        return StripeEvent.mode.in_([*Mode]) & (StripeEvent.customer_ref == word)
    if word.startswith("evt_"):
        return StripeEvent.mode.in_([*Mode]) & (StripeEvent.event_id == word)
    return StripeEvent.object_id == word


def by_id(event_id: str) -> StripeEvent:
    """Return the event with this Stripe id. Raises NotFound."""
    found = db.session.execute(select(StripeEvent).filter_by(event_id=event_id)).scalars().first()
    if found is None:
        raise NotFound(f"No event {event_id} was delivered here.")
    return found


def customer_of(event: StripeEvent) -> Customer | None:
    """Return the event's customer, if its object names one of ours."""
    query = (
        select(Customer)
        .join(StripeCustomer)
        .where(StripeCustomer.mode == event.mode, StripeCustomer.stripe_id == event.customer_ref)
    )
    return db.session.execute(query).scalar_one_or_none()


def effects(event: StripeEvent) -> list[AuditEntry]:
    """List what handling an event changed, in order."""
    query = select(AuditEntry).filter_by(event_id=event.event_id).order_by(AuditEntry.id)
    return list(db.session.execute(query).scalars())
