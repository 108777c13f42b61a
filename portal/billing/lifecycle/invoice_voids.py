"""Voiding open invoices of plans that have ended, so that nobody is charged after leaving.

Usage stays owed: subscriptions that grant no tier are left alone.
"""

import structlog
from sqlalchemy import select

from portal import audit, gateway
from portal.billing import invoices
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import InvoiceStatus, Voiding
from portal.sync import idempotency

log = structlog.get_logger()

AT_ONCE = 200


def run() -> int:
    """Scheduled task: void what is claimed, and return how many ended. Commits after each; safe to run
    concurrently.
    """
    query = select(Voiding).filter_by(state="open").order_by(Voiding.id).limit(AT_ONCE)
    claimed = db.session.execute(query).scalars().all()
    db.session.commit()
    return sum(_void(voiding) for voiding in claimed)


def _closed(lane: gateway.Lane, invoice_id: str) -> gateway.Invoice | None:
    """Return the invoice if it is no longer open."""
    found = lane.invoice(invoice_id)
    return found if found.status != InvoiceStatus.OPEN else None


def _void(voiding: Voiding) -> bool:
    """Call, then confirm with the invoice's status at Stripe. An invoice that was paid meanwhile also ends the
    claim.
    """
    lane = gateway.of(voiding.mode)
    try:
        idempotency.call(
            voiding,
            lambda key: lane.void_invoice(voiding.invoice_id, key),
            find=lambda _named: _closed(lane, voiding.invoice_id),
        )
    except StripeRefused as refused:
        log.warning("invoice_not_voided", invoice=voiding.invoice_id, code=refused.stripe_code)
    except StripeUnavailable:
        return False  # the claim stays open: the next run asks again
    status = invoices.sync(voiding.mode, voiding.invoice_id)
    voiding.state = "refused" if status == InvoiceStatus.OPEN else "done"
    if status == InvoiceStatus.VOID:
        audit.record(
            "invoice.voided",
            customer_id=voiding.customer_id,
            subject=voiding.invoice_id,
            key=f"invoice.voided:{voiding.invoice_id}",
        )
    db.session.commit()
    return True
