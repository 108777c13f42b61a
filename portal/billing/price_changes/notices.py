"""Telling subscribers that their price changes: who is told, who is left out and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from portal import audit, clock, mail, money
from portal.billing.price_changes import words
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import Price, PriceChange, Subscription
from portal.sync.locks import lock
from portal.web.pages import date_text


@dataclass(frozen=True)
class Listed:
    """A subscription with the previous price. `left_out` says why it is not told; empty: it is."""

    id: int
    stripe_id: str
    customer_id: int
    left_out: str


def find(word: str, mode: Mode, option: str) -> Price:
    """Return the price that `word` names: an id at Stripe, else the key or lookup key of one on sale.

    Raises InvalidInput about `option`.
    """
    by_id = Price.live_price_id if mode == Mode.LIVE else Price.test_price_id
    on_sale = Price.withdrawn.is_(False) & or_(Price.key == word, Price.lookup_key == word)
    query = select(Price).where(or_(by_id == word, on_sale)).order_by(Price.withdrawn, Price.id)
    found = db.session.execute(query).scalars().first()
    if found is None or found.stripe_id(mode) is None:
        said = f"The catalogue has no price {word} at Stripe in {mode} mode, on sale or withdrawn."
        raise InvalidInput(said, errors={option: said})
    return found


def check(old: Price, new: Price, mode: Mode) -> None:
    """Check that subscribers of one price can be moved to the other. Raises InvalidInput."""
    faults = {
        "they are the same price": old.id == new.id,
        "the new one is not on sale": new.withdrawn or new.plan.withdrawn or new.is_archived(mode),
        "they belong to different plans": old.plan_id != new.plan_id,
        "they have different cycles": old.interval != new.interval,
        "they have different currencies": old.currency != new.currency,
    }
    if found := [fault for fault, is_so in faults.items() if is_so]:
        said = f"Nobody can be moved from {old.stripe_id(mode)} to {new.stripe_id(mode)}: {', '.join(found)}."
        raise InvalidInput(said, errors={"to": said})


def listed(old: Price, new: Price, mode: Mode) -> list[Listed]:
    """List the subscriptions that have the previous price and have not ended, oldest first."""
    query = select(Subscription).options(joinedload(Subscription.price_change))
    query = query.filter_by(mode=mode, price_id=old.stripe_id(mode), ended_at=None).order_by(Subscription.id)
    rows = db.session.execute(query).scalars()
    to = new.stripe_id(mode)
    return [Listed(one.id, one.stripe_id, one.customer_id, _left_out(one, to)) for one in rows]


def _left_out(subscription: Subscription, to: str | None) -> str:
    """Return why a subscription is not told. What it does next is its customer's own choice."""
    change = subscription.price_change
    if change is not None:
        return "told already" if change.to_price == to else f"told of another price, {change.to_price}"
    if subscription.cancel_at:
        return f"ends on {date_text(subscription.cancel_at)}"
    if subscription.schedule_id:
        return "has a schedule"
    if subscription.pending_until:
        return "waits for a payment"
    return "" if subscription.status.grants_access else subscription.status.label.lower()


def give(one: Listed, old: Price, new: Price, mode: Mode, days: int) -> bool:
    """Write one subscription's notice with its mail, and return whether it was. Commits; can be repeated."""
    customer = lock(one.customer_id)
    query = select(Subscription).filter_by(id=one.id, customer_id=customer.id, price_id=old.stripe_id(mode))
    found = db.session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None or found.ended_at or _left_out(found, new.stripe_id(mode)):
        db.session.rollback()  # it changed since it was listed
        return False
    change = PriceChange(
        subscription_id=found.id,
        from_price=old.stripe_id(mode),
        to_price=new.stripe_id(mode),
        amount=new.amount,
        notice_until=clock.now(customer.clock_at) + timedelta(days=days),
        created_at=clock.now(),
    )
    db.session.add(change)
    db.session.flush()
    note("noticed", change, found)
    mail.tell(customer, "price_changes", f"price-changes:{change.id}", **_facts(found, change, old, new))
    db.session.commit()
    return True


def _facts(found: Subscription, change: PriceChange, old: Price, new: Price) -> dict[str, Any]:
    return {
        "plan_name": new.plan.name,
        "was": f"{money.text(old.amount, old.currency)} {money.every(old.interval)}",
        "price": words.price(found, change),
        "when": words.when(found, change),
        "page": mail.external("billing.overview"),
    }


def note(what: str, change: PriceChange, subscription: Subscription) -> None:
    """Write the audit entry of a price change, once. Flushes."""
    audit.record(
        f"price_change.{what}",
        customer_id=subscription.customer_id,
        subject=subscription.stripe_id,
        before={"price": change.from_price},
        after={"price": change.to_price, "notice_until": change.notice_until.isoformat()},
        key=f"price_change:{change.id}:{what}",
    )


def counted(rows: list[Listed]) -> Iterator[tuple[str, int]]:
    """Yield each reason for leaving subscriptions out, with how many there are."""
    reasons = [one.left_out for one in rows if one.left_out]
    for reason in sorted(set(reasons)):
        yield reason, reasons.count(reason)
