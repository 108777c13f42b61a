"""Where an order stands, for whoever may look at it, and the one reveal of its key (money rule 10)."""

from datetime import datetime, timedelta

from sqlalchemy import update

from portal import clock
from portal.errors import Conflict
from portal.extensions import changed
from portal.keys import minting
from portal.models import ApiKey, Purchase
from portal.purchases import lookup

BEARERS_HOUR = timedelta(hours=1)


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
    return lookup.unpaid(purchase, is_current=is_current)


def _for_bearer(purchase: Purchase, now: datetime) -> str:
    """`paid` (a key can be revealed) for an hour on the unclaimed user that this made, `mailed` after it.

    An account is never handed out: its owner signs in. So the reveal ends once the user is claimed.
    """
    assert purchase.paid_at is not None
    if purchase.customer.user.is_claimed:
        return "sign_in"
    return "paid" if purchase.made_account and now < purchase.paid_at + BEARERS_HOUR else "mailed"


def reveal(purchase: Purchase, *, is_owner: bool) -> tuple[ApiKey, str] | None:
    """A key for a paid order, once; None where it was revealed before. Flushes.

    The update decides which of two clicks sees it. Raises Conflict where there is nothing to reveal.
    """
    if standing(purchase, is_owner=is_owner) not in ("paid", "free", "has_key", "revealed"):
        raise Conflict("There is no key to show for this order now. Open its page again to see why.")
    once = update(Purchase).where(Purchase.id == purchase.id, Purchase.revealed_at.is_(None))
    if not changed(once.values(revealed_at=clock.now())):
        return None
    return minting.mint(purchase.customer, purchase.name)
