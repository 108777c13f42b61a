"""Periods of plans, with the numbers that they were sold with: recorded when they begin, and when they are paid.

The syncs of subscriptions and invoices call this under the customer's lock, in any order and any number of times.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, Update, select, update

from portal import clock, gateway
from portal.catalogue import items
from portal.customers import access
from portal.enums import Mode
from portal.extensions import db
from portal.models import PlanPeriod, SubscriptionStatus


def follow(
    customer_id: int, mode: Mode, facts: gateway.Subscription, *, price_id: str, tier: str | None, now: datetime
) -> None:
    """Record the period that a subscription is in, or that it has ended. Flushes.

    `price_id` and `tier` are those that count: while a change waits for its payment, the previous plan's. `now` is
    the customer's clock.
    """
    status = SubscriptionStatus(facts.status)
    if status.is_final:
        db.session.execute(_ended(mode, facts.id, now).where(PlanPeriod.ends_at > now))
    elif tier is not None and status.grants_access:
        item = next((one for one in facts.items if one.price.id == price_id and one.period_end), None)
        if item is not None:
            _begin(customer_id, mode, facts, item, tier, now)


def _begin(
    customer_id: int,
    mode: Mode,
    facts: gateway.Subscription,
    item: gateway.SubscriptionItem,
    tier: str,
    now: datetime,
) -> None:
    key = {"mode": mode, "subscription_id": facts.id, "ends_at": item.period_end}
    known = db.session.execute(_newest_first(**key)).scalars().all()
    row = next((one for one in known if one.price_id == item.price.id), None)
    others = [one for one in known if one is not row and one.ended_at is None]
    if row is None:
        starts = item.period_start or facts.created
        is_trial = facts.trial_end is not None and facts.trial_end == item.period_end
        row = PlanPeriod(
            customer_id=customer_id,
            price_id=item.price.id,
            tier=tier,
            is_trial=is_trial,
            starts_at=starts,
            anchor_at=facts.anchor or starts,
            from_at=now if known else starts,
            created_at=clock.now(),
            **key,
            **_sold(tier, is_trial=is_trial),
        )
        db.session.add(row)
        _go_on(row, others)
    elif row.ended_at is not None:  # the subscription is back on this plan
        row.ended_at, row.from_at = None, now
        row.next_at = now if row.invoice_id else None
    for other in others:
        if (
            row.invoice_id is not None or other.invoice_id is None
        ):  # until an upgrade is paid, what was paid goes on
            other.ended_at, other.next_at = now, None
    db.session.flush()


def _sold(tier: str, *, is_trial: bool) -> dict[str, Any]:
    """Return the catalogue's numbers for a period that begins now."""
    plan = items.plan_of(tier)
    if plan is None:
        return {"credits": 0, "rollover": 0, "included": {}}
    credits = plan.credits if plan.credits_in_trial or not is_trial else 0
    return {"credits": credits, "rollover": plan.rollover, "included": dict(plan.included)}


def _go_on(row: PlanPeriod, others: list[PlanPeriod]) -> None:
    """Mark a period as paid if it continues a paid one on a plan without more credits."""
    paid = next((one for one in others if one.invoice_id), None)
    if paid is not None and row.credits <= paid.credits:
        row.invoice_id, row.paid_at, row.next_at = paid.invoice_id, paid.paid_at, row.from_at


def pay(facts: gateway.Invoice, mode: Mode) -> list[PlanPeriod]:
    """Record that an invoice has paid periods, and return all that it paid, oldest first. Flushes.

    A line names the period's end and its price. After an upgrade it starts when the plan was changed.
    """
    for line in sorted(facts.lines, key=lambda one: one.starts_at):
        key = {"mode": mode, "subscription_id": facts.subscription, "ends_at": line.ends_at}
        query = _newest_first(**key, price_id=line.price_id, invoice_id=None)
        row = db.session.execute(query).scalar_one_or_none() if line.amount >= 0 else None
        if row is not None:
            row.invoice_id, row.paid_at = facts.id, facts.paid_at or facts.created
            row.from_at = max(line.starts_at, row.starts_at)
            row.next_at = row.from_at
            _replace(row)
            access.mark_changed(row.customer_id)
    return list(db.session.execute(paid_by(mode, facts.id)).scalars())


def paid_by(mode: Mode, invoice_id: str) -> Select[PlanPeriod]:
    """Select the periods that an invoice paid, oldest first."""
    return select(PlanPeriod).filter_by(mode=mode, invoice_id=invoice_id).order_by(PlanPeriod.id)


def _replace(row: PlanPeriod) -> None:
    """End the periods of the same subscription that a paid one takes the place of. Flushes."""
    db.session.flush()
    others = _ended(row.mode, row.subscription_id, row.from_at).where(
        PlanPeriod.id != row.id,
        PlanPeriod.from_at <= row.from_at,
        PlanPeriod.starts_at <= row.from_at,
        PlanPeriod.ends_at > row.from_at,
    )
    db.session.execute(others)


def _ended(mode: Mode, subscription_id: str, at: datetime) -> Update:
    mine = update(PlanPeriod).filter_by(mode=mode, subscription_id=subscription_id, ended_at=None)
    return mine.values(ended_at=at, next_at=None).execution_options(synchronize_session="fetch")


def _newest_first(**key: Any) -> Select[PlanPeriod]:
    return select(PlanPeriod).filter_by(**key).order_by(PlanPeriod.id.desc())
