"""Finding events in the inbox, by the million: pages of a filtered list, one event, and what it changed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select, tuple_

from portal.errors import NotFound
from portal.extensions import db
from portal.models import AuditEntry, StripeCustomer, StripeEvent, User
from portal.models.customer import Customer
from portal.webhooks.handlers import HANDLERS

STATES = ("received", "processed", "failed", "ignored", "parked")
PAGE = 50


@dataclass(frozen=True)
class Filter:
    """What is asked for; empty: all. `about` is a mail address, or the id of an event, object or customer."""

    type: str = ""
    state: str = ""
    mode: str = ""
    about: str = ""
    since: datetime | None = None
    until: datetime | None = None


def page(wanted: Filter, before: int | None = None, size: int = PAGE) -> tuple[list[StripeEvent], int | None]:
    """The newest events that fit, from below the id `before`, and the last one's id where there are more."""
    query = select(StripeEvent).where(*_conditions(wanted))
    if before is not None:
        query = query.where(StripeEvent.id < before)
    found = list(db.session.execute(query.order_by(StripeEvent.id.desc()).limit(size + 1)).scalars())
    return found[:size], found[size - 1].id if len(found) > size else None


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    equal = {"state": wanted.state, "mode": wanted.mode}
    conditions = [getattr(StripeEvent, name) == value for name, value in equal.items() if value]
    if wanted.type:  # whole, or the beginning of those that somebody handles: "invoice"
        handled = (one for one in HANDLERS if one.startswith(f"{wanted.type}."))
        conditions.append(StripeEvent.type.in_([wanted.type, *handled]))
    # Ids follow the order of arrival, so that a bound of the time is one of the id, along the list's own order.
    if wanted.since:
        conditions.append(StripeEvent.id >= _first(wanted.since))
    if wanted.until:
        conditions.append(StripeEvent.id < _first(wanted.until))
    if wanted.about:
        conditions.append(_about(wanted.about))
    return conditions


def _first(moment: datetime) -> ColumnElement[int]:
    """The id of the first event at or after this moment; where none came since, one that is none's yet."""
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
        return StripeEvent.mode.in_(("live", "test")) & (StripeEvent.customer_ref == word)
    if word.startswith("evt_"):
        return StripeEvent.mode.in_(("live", "test")) & (StripeEvent.event_id == word)
    return StripeEvent.object_id == word


def by_id(event_id: str) -> StripeEvent:
    """The event of this Stripe id. Raises NotFound."""
    found = db.session.execute(select(StripeEvent).filter_by(event_id=event_id)).scalars().first()
    if found is None:
        raise NotFound(f"No event {event_id} was delivered here.")
    return found


def customer_of(event: StripeEvent) -> Customer | None:
    """Whose it is, as far as its object names a customer of ours."""
    query = (
        select(Customer)
        .join(StripeCustomer)
        .where(StripeCustomer.mode == event.mode, StripeCustomer.stripe_id == event.customer_ref)
    )
    return db.session.execute(query).scalar_one_or_none()


def effects(event: StripeEvent) -> list[AuditEntry]:
    """What handling an event changed, in the order of the changes."""
    query = select(AuditEntry).filter_by(event_id=event.event_id).order_by(AuditEntry.id)
    return list(db.session.execute(query).scalars())
