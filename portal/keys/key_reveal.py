"""The state of an order for its readers, and the single reveal of its API key."""

from datetime import datetime, timedelta

from sqlalchemy import update

from portal import clock
from portal.customers import owners
from portal.errors import Conflict
from portal.extensions import db, rows_changed
from portal.keys import api_keys
from portal.models import ApiKey, Order
from portal.orders import find
from portal.orders import states as stands

BEARERS_HOUR = timedelta(hours=1)


def standing(order: Order, *, is_owner: bool, is_current: bool = True, now: datetime | None = None) -> str:
    """Return the state as the success page names it.

    A reader with only the session's id (the bearer, for a Payment Link) sees less: see `_for_bearer`. If the row
    may be outdated, an order that looks unpaid may be paid, so it is pending.
    """
    if order.revealed_at:
        return "revealed"
    if order.paid_at:
        if not is_owner:
            return _for_bearer(order, clock.now(now))
        if api_keys.living(order.customer):
            return "has_key"
        return "paid" if order.amount else "free"
    return find.unpaid(order, is_current=is_current)


def _for_bearer(order: Order, now: datetime) -> str:
    """Return `paid` (a key can be revealed) for an hour on the unclaimed user that this order created, then
    `mailed`.

    It never gives access to an account, whose owner signs in instead. So the reveal ends once the user is claimed.
    """
    assert order.paid_at is not None
    if order.customer.user.is_claimed:
        return "sign_in"
    return "paid" if order.made_account and now < order.paid_at + BEARERS_HOUR else "mailed"


def may_correct(order: Order, *, revealed_here: bool) -> bool:
    """Return whether the bearer may correct the address that a Payment Link's order waits for.

    They may as long as they can reveal its key, and afterwards only in the browser that did.
    """
    if order.paid_at is None or not order.made_account or not order.customer.user.is_waiting:
        return False
    return revealed_here or (order.revealed_at is None and clock.now() < order.paid_at + BEARERS_HOUR)


def reveal(order: Order, *, is_owner: bool) -> tuple[ApiKey, str] | None:
    """Return a key for a paid order, once; None if it was already revealed. Flushes.

    The update decides which of two concurrent clicks gets it. Raises Conflict if there is nothing to reveal.
    """
    owners.hold_signed_in(order.customer.user)
    stands.lock(order)
    db.session.refresh(order)
    if standing(order, is_owner=is_owner) not in ("paid", "free", "has_key", "revealed"):
        raise Conflict("There is no key to show for this order now. Open its page again to see why.")
    once = update(Order).where(Order.id == order.id, Order.revealed_at.is_(None))
    if not rows_changed(once.values(revealed_at=clock.now())):
        return None
    return api_keys.mint(order.customer, order.name)
