"""The time of customers on a Stripe test clock, which changes only by an event."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, update

from portal import gateway
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer


def read(mode: Mode, clock_id: str) -> tuple[Mode, gateway.Clock]:
    """Fetch a clock. It needs no sync number, because its time never goes back."""
    return mode, gateway.of(mode).test_clock(clock_id)


def apply(snapshot: tuple[Mode, gateway.Clock]) -> None:
    """Set the clock's time on all of its customers. Flushes."""
    mode, clock = snapshot
    _set(_living_on(mode, clock.id), clock.id, clock.frozen_at)


def put(customer_id: int, clock: gateway.Clock | None) -> None:
    """Record that Stripe has a customer on this clock. None says nothing about it. Flushes."""
    if clock is not None:
        _set(Customer.id == customer_id, clock.id, clock.frozen_at)


def stop(clock: tuple[Mode, str]) -> None:
    """Return customers of a deleted clock (mode and id) to the real time. Flushes."""
    _set(_living_on(*clock), None, None)


def _living_on(mode: Mode, clock_id: str) -> ColumnElement[bool]:
    return and_(Customer.mode == mode, Customer.test_clock == clock_id)


def _set(who: ColumnElement[bool], clock_id: str | None, at: datetime | None) -> None:
    """Set the clock and mark cached access as stale in one statement, because access depends on the time."""
    behind = Customer.test_clock.is_distinct_from(clock_id)
    if at is not None:
        behind |= Customer.clock_at < at
    values = {"test_clock": clock_id, "clock_at": at, "access_version": Customer.access_version + 1}
    db.session.execute(update(Customer).where(who, behind).values(values))
