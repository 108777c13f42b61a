"""Voiding usage: an identifier is taken back with a reason, as long as its month is not billed.

Both entries stay: the event, and one of the negative quantity beside it, on the same bill and day. An identifier
still counts once for ever, so a voided one that is sent again is a duplicate.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from portal import audit
from portal.errors import Conflict, NotFound
from portal.extensions import db
from portal.models import Meter, UsageEvent
from portal.usage import closing, metering, quantities
from portal.usage.batches import VOIDS, Batch, Row
from portal.usage.months import Month


@dataclass(frozen=True)
class Voided:
    """What was taken back, and from whose bill. `is_new` is false where it was voided before."""

    meter: str
    quantity: Decimal
    month: Month
    is_new: bool


class MonthClosed(Conflict):
    """The usage is on a bill already."""

    code = "month_closed"
    title = "This usage is billed"


def void(customer_id: int, identifier: str, reason: str) -> Voided:
    """Take back what was recorded under a stored identifier; once, however often it is asked. Flushes.

    Raises NotFound where the customer has no such event, MonthClosed once its month is closed.
    """
    event = db.session.get(UsageEvent, (customer_id, identifier))
    if event is None or identifier.startswith(VOIDS):
        raise NotFound("This customer has no usage under this identifier.")
    month, meter = Month.of_number(event.month), db.session.get_one(Meter, event.meter_id)
    closed, negative = closing.closed_since(month), _negative(event)
    is_new = db.session.get(UsageEvent, (customer_id, negative.identifier)) is None
    if is_new and month.number in closed:
        raise MonthClosed(f"{month.words} is closed: what was used then is on its bill.")
    if is_new:
        is_new = metering.record(customer_id, Batch([negative], 1, 0, month)).accepted == 1
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
