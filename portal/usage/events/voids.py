"""Voiding usage by identifier, with a reason, until its month is billed.

Both entries stay: the event, and one with the negative quantity, on the same bill and day. An identifier counts
once, forever, so a voided one that is sent again is a duplicate. For billed usage see `corrections`.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from portal import audit, quantities
from portal.errors import Conflict, NotFound
from portal.extensions import db
from portal.models import Meter, UsageEvent
from portal.usage.events import usage_events
from portal.usage.events.reports import VOIDS, Batch, Row
from portal.usage.monthly_run import closed_months
from portal.usage.monthly_run.months import Month


@dataclass(frozen=True)
class Back:
    """The refund of a corrected bill: the total in minor units of its currency, and the part in whole credits."""

    amount: int
    currency: str
    credits: int
    credit_note: str | None


@dataclass(frozen=True)
class Voided:
    """What was voided, and on which bill. `is_new` is False if it was voided before."""

    meter: str
    quantity: Decimal
    month: Month
    is_new: bool
    back: Back | None = None  # where its month was billed already


class MonthClosed(Conflict):
    """The usage is already on a bill."""

    code = "month_closed"
    title = "This usage is billed"


def void(customer_id: int, identifier: str, reason: str) -> Voided:
    """Void the event with a stored identifier, once, however often it is called. Flushes.

    Raises NotFound if the customer has no such event, MonthClosed once its month is closed.
    """
    event = db.session.get(UsageEvent, (customer_id, identifier))
    if event is None or identifier.startswith(VOIDS):
        raise NotFound("This customer has no usage under this identifier.")
    month, meter = Month.of_number(event.month), db.session.get_one(Meter, event.meter_id)
    closed, negative = closed_months.closed_since(month), _negative(event)
    is_new = db.session.get(UsageEvent, (customer_id, negative.identifier)) is None
    if is_new and month.number in closed:
        raise MonthClosed(f"{month.words} is closed: what was used then is on its bill.")
    if is_new:
        is_new = usage_events.record(customer_id, Batch([negative], 1, 0, month)).accepted == 1
    quantity = quantities.joined(event.units, event.nanos)
    if is_new:
        facts = {"meter": meter.key, "quantity": quantities.wire(quantity), "month": str(month)}
        audit.record(
            "usage.voided", customer_id=customer_id, subject=negative.identifier, after=facts, reason=reason
        )
    return Voided(meter.key, quantity, month, is_new)


def _negative(event: UsageEvent) -> Row:
    name = VOIDS + hashlib.sha256(event.identifier.encode()).hexdigest()
    return Row(name, event.meter_id, -event.units, -event.nanos, event.occurred_at, event.month)
