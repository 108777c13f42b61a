"""Time travel: moving a test customer with a test clock (https://docs.stripe.com/billing/testing/test-clocks)."""

import calendar
from datetime import datetime, timedelta

from sqlalchemy import select

from portal import gateway
from portal.customers import stripe_customers, test_clocks
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import Customer, StripeCustomer, Subscription, SubscriptionStatus
from portal.sync import idempotency

SETTLED = timedelta(hours=2)  # Stripe finalizes a renewal's invoice an hour after creating it
STEPS = ("trial_end", "renewal", "day", "month")


def begin(customer: Customer) -> None:
    """Put a test customer on a clock, with a new customer at Stripe. Commits.

    Repeating it completes a call without a response, and otherwise does nothing.
    """
    name = _name(customer)
    if name.stripe_id is not None:
        return
    lane, begins = gateway.of(customer.mode), int(name.created_at.timestamp())
    if customer.test_clock is None:
        clock = idempotency.call(name, lambda key: lane.create_test_clock({"frozen_time": begins}, key), "clock")
        test_clocks.put(customer.id, clock)
        _reread(customer)
    params = stripe_customers.params(name) | {"test_clock": customer.test_clock}
    made = idempotency.call(name, lambda key: lane.create_customer(params, key), "on-clock")
    stripe_customers.confirm(name, made.id)
    db.session.commit()


def _name(customer: Customer) -> StripeCustomer:
    """Return the customer id on the clock, or the row of a new one. One in real time is replaced. Commits."""
    name = stripe_customers.current(customer)
    if name and name.stripe_id and not customer.test_clock:
        name.is_current = False
        db.session.flush()
        name = None
    db.session.commit()
    return name or stripe_customers.claim(customer)


def end(customer: Customer) -> None:
    """Delete the customer's clock, which also deletes its customers at Stripe. Commits."""
    assert customer.test_clock is not None
    named = (customer.mode, customer.test_clock)
    db.session.commit()
    try:
        gateway.of(customer.mode).delete_test_clock(customer.test_clock)
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
    test_clocks.stop(named)
    _reread(customer)


def _reread(customer: Customer) -> None:
    """Refresh the object after a statement changed its row. Commits."""
    db.session.commit()
    db.session.refresh(customer)
    db.session.commit()


def advance(customer: Customer, step: str, seen: datetime) -> datetime:
    """Advance the clock to this step and return its new time; the consequences arrive as webhooks. Commits.

    `seen` is the time that the page showed, so that only one of two concurrent requests advances. Raises
    InvalidInput, Conflict.
    """
    if customer.test_clock is None or customer.clock_at is None:
        raise Conflict("This customer does not live on a test clock. Begin with a test purchase on one.")
    if seen != customer.clock_at:
        raise Conflict("The clock has moved since this page was opened, so nothing was done. Look again.")
    if step not in STEPS:
        raise InvalidInput("Choose how far.", errors={"step": "not one of " + ", ".join(STEPS)})
    wanted = ahead(customer).get(step)
    if wanted is None:
        raise Conflict("There is nothing ahead to go to: a clock goes forward only.")
    clock = _call(customer.mode, customer.test_clock, int(wanted.timestamp()))
    test_clocks.apply((customer.mode, clock))
    db.session.commit()
    return clock.frozen_at


def _call(mode: Mode, clock_id: str, to: int) -> gateway.Clock:
    """Advance a clock. It reaches a time only once, so the call needs no idempotency key, which would repeat an
    error.
    """
    db.session.commit()
    try:
        return gateway.of(mode).advance_test_clock(clock_id, to)
    except StripeRefused as refused:
        if refused.stripe_code == "resource_missing":
            test_clocks.stop((mode, clock_id))
            db.session.commit()
            raise Conflict("This clock was deleted at Stripe. Reset the test data, and buy again.") from refused
        test_clocks.apply(test_clocks.read(mode, clock_id))  # a response may have been lost
        db.session.commit()
        words = "Stripe did not move the clock: it may still be moving, or that is too far at once."
        raise Conflict(words) from refused


def ahead(customer: Customer) -> dict[str, datetime]:
    """Return the next steps from the clock's time, with their dates; none without a clock."""
    now = customer.clock_at
    if now is None:
        return {}
    query = (
        select(Subscription)
        .filter_by(customer_id=customer.id)
        .where(Subscription.status.in_(SubscriptionStatus.running()))
    )
    running = db.session.execute(query).scalars().all()
    steps = {
        "trial_end": _soonest(now, [one.trial_end for one in running]),
        "renewal": _soonest(now, [one.current_period_end for one in running]),
        "day": now + timedelta(days=1),
        "month": _a_month_on(now),
    }
    return {step: to for step, to in steps.items() if to}


def _soonest(now: datetime, dates: list[datetime | None]) -> datetime | None:
    """Return the first of these dates in the future, plus the time until its effects are settled."""
    coming = [date for date in dates if date and date > now]
    return min(coming) + SETTLED if coming else None


def _a_month_on(now: datetime) -> datetime:
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return now.replace(year=year, month=month, day=min(now.day, calendar.monthrange(year, month)[1]))
