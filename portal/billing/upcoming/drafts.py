"""Drafts of invoices, and subscriptions that begin later: what Stripe will charge and we store nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import structlog

from portal import gateway
from portal.errors import StripeRefused
from portal.web.pages import rfc3339

log = structlog.get_logger()


@dataclass(frozen=True)
class Draft:
    """A draft that Stripe finalizes and charges at `at`."""

    at: datetime
    amount: int
    currency: str
    subscription: str | None
    description: str
    sent: bool = False

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Read a draft from its JSON."""
        return cls(**data | {"at": datetime.fromisoformat(data["at"])})


@dataclass(frozen=True)
class Start:
    """A subscription that a schedule begins at `at`. `amount` is None if Stripe cannot calculate it."""

    at: datetime
    name: str
    amount: int | None
    currency: str

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Read a start from its JSON."""
        return cls(**data | {"at": datetime.fromisoformat(data["at"])})


def of(
    lane: gateway.Lane, drafts: Sequence[gateway.Invoice], starting: Sequence[gateway.Schedule]
) -> dict[str, Any]:
    """Return both as they are stored. A draft that nobody finalizes automatically is not told: it may change."""
    found = {
        "drafts": [_draft(one, one.finalizes_at) for one in drafts if one.finalizes_at],
        "starts": [_start(lane, one) for one in starting if one.phases],
    }
    return {name: rows for name, rows in found.items() if rows}


def _draft(invoice: gateway.Invoice, at: datetime) -> dict[str, Any]:
    return {
        "at": rfc3339(at),
        "amount": invoice.amount_due,
        "currency": invoice.currency,
        "subscription": invoice.subscription,
        "description": invoice.description,
        "sent": invoice.is_sent,
    }


def _start(lane: gateway.Lane, schedule: gateway.Schedule) -> dict[str, Any]:
    first = schedule.phases[0]
    price = lane.price(first.items[0]["price"])
    try:
        preview = lane.preview({"schedule": schedule.id})
    except StripeRefused as refused:
        log.warning("next_invoice_unknown", schedule=schedule.id, code=refused.stripe_code)
        preview = None
    return {
        "at": rfc3339(first.starts),
        "name": price.product_name,
        "amount": preview.amount_due if preview else None,
        "currency": preview.currency if preview else price.currency,
    }
