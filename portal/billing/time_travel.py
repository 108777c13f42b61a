"""Time travel: a test customer's life on a test clock (https://docs.stripe.com/billing/testing/test-clocks)."""

import calendar
from datetime import datetime, timedelta

from sqlalchemy import select

from portal import gateway
from portal.errors import Conflict, InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import Customer, StripeCustomer, Subscription
from portal.purchases import claims, clocks, customers

SETTLED = timedelta(hours=2)  # Stripe finalises a renewal's invoice an hour after it made it
RUNNING = ("active", "trialing", "past_due", "unpaid", "paused")
STEPS = ("trial_end", "renewal", "day", "month")


def begin(customer: Customer) -> None:
    """Let a test customer live on a clock from now on, under a new name at Stripe. Commits.

    Again it finishes what got no answer, and else does nothing.
    """
    name = _name(customer)
    if name.stripe_id is not None:
        return
    lane, begins = gateway.of(customer.mode), int(name.created_at.timestamp())
    if customer.test_clock is None:
        clock = claims.call(name, lambda key: lane.create_test_clock({"frozen_time": begins}, key), "clock")
        clocks.put(customer.id, clock)
        _reread(customer)
    params = customers.params(name) | {"test_clock": customer.test_clock}
    made = claims.call(name, lambda key: lane.create_customer(params, key), "on-clock")
    name.stripe_id = made.id
    db.session.commit()


def _name(customer: Customer) -> StripeCustomer:
    """The name on the customer's clock, or the one that will be: a name in real time is put aside. Commits."""
    name = customers.current(customer)
    if name and name.stripe_id and not customer.test_clock:
        name.is_current = False
        db.session.flush()
        name = None
    db.session.commit()
    return name or customers.claim(customer)


def end(customer: Customer) -> None:
    """Delete the customer's clock, and at Stripe everybody on it. Commits."""
    assert customer.test_clock is not None
    named = (customer.mode, customer.test_clock)
    db.session.commit()
    try:
        gateway.of(customer.mode).delete_test_clock(customer.test_clock)
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
    clocks.stop(named)
    _reread(customer)


def _reread(customer: Customer) -> None:
    """Have the object say what a statement wrote. Commits."""
    db.session.commit()
    db.session.refresh(customer)
    db.session.commit()


def advance(customer: Customer, step: str, seen: datetime) -> datetime:
    """Let time pass until this step; what happens then comes as webhooks. Gives the clock's new time. Commits.

    `seen` is the time that the page showed: of two who press at once one goes on. Raises InvalidInput, Conflict.
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
    clocks.apply((customer.mode, clock))
    db.session.commit()
    return clock.frozen_at


def _call(mode: str, clock_id: str, to: int) -> gateway.Clock:
    """Ask for a time. A clock goes there once, so it takes no key, under which Stripe would repeat an error."""
    db.session.commit()
    try:
        return gateway.of(mode).advance_test_clock(clock_id, to)
    except StripeRefused as refused:
        if refused.stripe_code == "resource_missing":
            clocks.stop((mode, clock_id))
            db.session.commit()
            raise Conflict("This clock was deleted at Stripe. Reset the test data, and buy again.") from refused
        clocks.apply(clocks.read(mode, clock_id))  # an answer may have been lost
        db.session.commit()
        words = "Stripe did not move the clock: it may still be moving, or that is too far at once."
        raise Conflict(words) from refused


def ahead(customer: Customer) -> dict[str, datetime]:
    """The steps that lead on from the time on the customer's clock, and where to; none without a clock."""
    now = customer.clock_at
    if now is None:
        return {}
    query = select(Subscription).filter_by(customer_id=customer.id).where(Subscription.status.in_(RUNNING))
    running = db.session.execute(query).scalars().all()
    steps = {
        "trial_end": _soonest(now, [one.trial_end for one in running]),
        "renewal": _soonest(now, [one.current_period_end for one in running]),
        "day": now + timedelta(days=1),
        "month": _a_month_on(now),
    }
    return {step: to for step, to in steps.items() if to}


def _soonest(now: datetime, dates: list[datetime | None]) -> datetime | None:
    """The first of these dates that is still to come, and until what it brings is settled."""
    coming = [date for date in dates if date and date > now]
    return min(coming) + SETTLED if coming else None


def _a_month_on(now: datetime) -> datetime:
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return now.replace(year=year, month=month, day=min(now.day, calendar.monthrange(year, month)[1]))
