"""What the billing page shows of what a plan includes."""

from datetime import datetime
from typing import Any

from portal import quantities
from portal.credits.included import overview
from portal.models import Customer
from portal.usage.month_usage import MonthUsage


def shown(customer: Customer, used: MonthUsage | None, now: datetime) -> dict[str, Any]:
    """Return the template's values: the included credits at the customer's `now`, and units of a month."""
    return {
        "credits": overview.current(customer.id, now),
        "units": [one.allowance(used.month) for one in used.meters if one.included] if used else [],
        "quantity": quantities.text,
    }
