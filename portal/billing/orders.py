"""Where an order stands, for whoever may look at it, and the one reveal of its key (money rule 10)."""

import re
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update

from portal import clock, gateway
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.keys import minting
from portal.models import ApiKey, Purchase
from portal.purchases import fulfilment
from portal.purchases.fulfilment import Mismatch

log = structlog.get_logger()

SESSION_ID = re.compile(r"cs_(live|test)_[A-Za-z0-9]{1,200}")
BEARERS_HOUR = timedelta(hours=1)


def by_session(session_id: str) -> Purchase | None:
    """The order of a Checkout Session: ours by its id, else by what is written on it at Stripe.

    Stripe knows of sessions whose id we never got to store (a crash after the call), and of those that a
    Payment Link began. Commits. For anything that is no session's id, nobody is asked.
    """
    shaped = SESSION_ID.fullmatch(session_id)
    if shaped is None:
        return None
    found = db.session.execute(select(Purchase).filter_by(session_id=session_id)).scalars().first()
    db.session.commit()
    if found is not None:
        return found
    lanes = [lane for lane in map(gateway.of, gateway.MODES) if lane.livemode == (shaped[1] == "live")]
    return next(filter(None, (_from_stripe(lane, session_id) for lane in lanes if lane.is_configured)), None)


def _from_stripe(lane: gateway.Lane, session_id: str) -> Purchase | None:
    """Fulfil a session that Stripe says is ours; for a stranger's nothing is written."""
    try:
        session = lane.session(session_id)
        ours = session.payment_link or session.metadata.get("purchase")
        return fulfilment.fulfil(lane.mode, session_id) if ours else None
    except (StripeRefused, Mismatch):
        db.session.rollback()
        return None


def by_number(number: str) -> Purchase | None:
    """The order of this number."""
    return db.session.execute(select(Purchase).filter_by(number=number)).scalar_one_or_none()


def bring_up_to_date(purchase: Purchase) -> bool:
    """Ask Stripe, unless it is paid already; whoever comes first, page or webhook, does the same. Commits.

    False where Stripe did not answer: what the row says may be behind, and the webhook or next look will tell.
    """
    if purchase.paid_at or purchase.session_id is None:
        return True
    db.session.commit()
    answered = True
    try:
        fulfilment.fulfil(purchase.mode, purchase.session_id)
    except (StripeUnavailable, StripeRefused, Mismatch) as reason:
        db.session.rollback()
        log.warning("order_not_brought_up_to_date", order=purchase.number, reason=type(reason).__name__)
        answered = False
    db.session.refresh(purchase)
    return answered


def standing(purchase: Purchase, *, is_owner: bool, is_current: bool = True, now: datetime | None = None) -> str:
    """Where it stands, in the success page's words.

    Who holds no more than the session's id (the bearer, for a Payment Link) sees less: see `_for_bearer`. Where
    the row is not known to be current, an order that looks unpaid may be paid: it is pending.
    """
    if purchase.revealed_at:
        return "revealed"
    if purchase.paid_at:
        if not is_owner:
            return _for_bearer(purchase, clock.now(now))
        if minting.living(purchase.customer):
            return "has_key"
        return "paid" if purchase.amount else "free"
    if purchase.state == "open" and purchase.completed_at is None and is_current:
        return "unpaid"
    return {"failed": "declined", "expired": "expired"}.get(purchase.state, "pending")


def _for_bearer(purchase: Purchase, now: datetime) -> str:
    """`paid` (a key can be revealed) within the hour where this purchase made the account; else a mail decides.

    An account that was there before is never handed out: its owner signs in, or claims it by the mailed link.
    """
    assert purchase.paid_at is not None
    if purchase.made_account and now < purchase.paid_at + BEARERS_HOUR:
        return "paid"
    return "sign_in" if purchase.customer.user.is_claimed else "mailed"


def reveal(purchase: Purchase, *, is_owner: bool) -> tuple[ApiKey, str] | None:
    """A key for a paid order, once; None where it was revealed before. Flushes.

    The update decides which of two clicks sees it. Raises Conflict where there is nothing to reveal.
    """
    if standing(purchase, is_owner=is_owner) not in ("paid", "free", "has_key", "revealed"):
        raise Conflict("There is no key to show for this order now. Open its page again to see why.")
    once = update(Purchase).where(Purchase.id == purchase.id, Purchase.revealed_at.is_(None))
    if not db.session.execute(once.values(revealed_at=clock.now())).rowcount:  # type: ignore[attr-defined]
        return None
    return minting.mint(purchase.customer, purchase.name)
