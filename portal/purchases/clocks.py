"""The time of customers who live on one of Stripe's test clocks: that clock's, which only an event moves."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, update

from portal import gateway
from portal.extensions import db
from portal.models import Customer


def read(mode: str, clock_id: str) -> tuple[str, gateway.Clock]:
    """Fetch a clock; that needs no number, for its time never goes back."""
    return mode, gateway.of(mode).test_clock(clock_id)


def apply(snapshot: tuple[str, gateway.Clock]) -> None:
    """Let everybody who lives on this clock have its time. Flushes."""
    mode, clock = snapshot
    _set(_living_on(mode, clock.id), clock.id, clock.frozen_at)


def put(customer_id: int, clock: gateway.Clock | None) -> None:
    """Note that Stripe has a customer on this clock; None says nothing about that. Flushes."""
    if clock is not None:
        _set(Customer.id == customer_id, clock.id, clock.frozen_at)


def stop(clock: tuple[str, str]) -> None:
    """Give the real time back to whoever lived on a clock (mode and id) that was deleted. Flushes."""
    _set(_living_on(*clock), None, None)


def _living_on(mode: str, clock_id: str) -> ColumnElement[bool]:
    return and_(Customer.mode == mode, Customer.test_clock == clock_id)


def _set(who: ColumnElement[bool], clock_id: str | None, at: datetime | None) -> None:
    """In the same statement what was cached of their access is made stale: it depends on the time."""
    behind = Customer.test_clock.is_distinct_from(clock_id)
    if at is not None:
        behind |= Customer.clock_at < at
    values = {"test_clock": clock_id, "clock_at": at, "access_version": Customer.access_version + 1}
    db.session.execute(update(Customer).where(who, behind).values(values))
