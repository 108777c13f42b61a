"""Claims to void the open invoices of plans that have ended, written by the sync of either."""

from sqlalchemy import and_, literal, select

from portal import clock
from portal.enums import Mode
from portal.extensions import db, insert
from portal.models import Invoice, InvoiceStatus, Subscription, SubscriptionStatus, Voiding

COLUMNS = ("customer_id", "mode", "invoice_id", "state", "attempt", "created_at")


def write(mode: Mode, subscription_id: str) -> None:
    """Claim each open invoice of a plan if it has ended. Flushes. The customer is locked.

    Usage stays owed: subscriptions that grant no tier are left alone.
    """
    ended = and_(
        Subscription.mode == Invoice.mode,
        Subscription.stripe_id == Invoice.subscription_id,
        Subscription.status.in_(SubscriptionStatus.final()),
        Subscription.tier.is_not(None),
    )
    mine = (Invoice.mode == mode, Invoice.subscription_id == subscription_id, Invoice.status == InvoiceStatus.OPEN)
    now = literal(clock.now(), Voiding.created_at.type)
    values = (Invoice.customer_id, Invoice.mode, Invoice.stripe_id, literal("open"), literal(1), now)
    claims = insert(Voiding).from_select(COLUMNS, select(*values).join(Subscription, ended).where(*mine))
    db.session.execute(claims.on_conflict_do_nothing(index_elements=["mode", "invoice_id"]))
