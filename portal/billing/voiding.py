"""Voiding what is open of plans that have ended, so that nobody is charged after leaving.

What was used and not yet paid stays owed: subscriptions that give no tier are left alone.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy import and_, exists, select

from portal import audit, clock, gateway
from portal.billing import invoices
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db, insert
from portal.models import Invoice, Subscription, Voiding
from portal.purchases import claims

log = structlog.get_logger()

ENDED = ("canceled", "incomplete_expired")


def run() -> int:
    """The tick's chore: claim, then void; gives how many ended. Commits as it goes, safe beside itself."""
    for invoice in _left():
        row = {"customer_id": invoice.customer_id, "mode": invoice.mode, "invoice_id": invoice.stripe_id}
        statement = insert(Voiding).values(created_at=clock.now(), state="open", attempt=1, **row)
        db.session.execute(statement.on_conflict_do_nothing(index_elements=["mode", "invoice_id"]))
    claimed = db.session.execute(select(Voiding).filter_by(state="open").order_by(Voiding.id)).scalars().all()
    db.session.commit()
    return sum(_void(voiding) for voiding in claimed)


def _left() -> Sequence[Invoice]:
    ended = and_(
        Subscription.mode == Invoice.mode,
        Subscription.stripe_id == Invoice.subscription_id,
        Subscription.status.in_(ENDED),
        Subscription.tier.is_not(None),
    )
    claimed = exists().where(Voiding.mode == Invoice.mode, Voiding.invoice_id == Invoice.stripe_id)
    query = select(Invoice).join(Subscription, ended).where(Invoice.status == "open", ~claimed)
    return db.session.execute(query.limit(1000)).scalars().all()


def _closed(lane: gateway.Lane, invoice_id: str) -> gateway.Invoice | None:
    """The invoice, once it is not open any more."""
    found = lane.invoice(invoice_id)
    return found if found.status != "open" else None


def _void(voiding: Voiding) -> bool:
    """Call, then confirm by what Stripe says of the invoice; one that was paid meanwhile is not void, and done."""
    lane = gateway.of(voiding.mode)
    try:
        claims.call(
            voiding,
            lambda key: lane.void_invoice(voiding.invoice_id, key),
            find=lambda _named: _closed(lane, voiding.invoice_id),
        )
    except StripeRefused as refused:
        log.warning("invoice_not_voided", invoice=voiding.invoice_id, code=refused.stripe_code)
    except StripeUnavailable:
        return False  # the claim stands: the next tick asks again
    status = invoices.sync(voiding.mode, voiding.invoice_id)
    voiding.state = "refused" if status == "open" else "done"
    if status == "void":
        audit.record(
            "invoice.voided",
            customer_id=voiding.customer_id,
            subject=voiding.invoice_id,
            key=f"invoice.voided:{voiding.invoice_id}",
        )
    db.session.commit()
    return True
