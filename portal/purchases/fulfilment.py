"""Fulfilling a purchase: the one way that webhook, success page, replay and command line all take."""

from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import or_, select

from portal import clock, gateway
from portal.customers import locks
from portal.errors import Conflict
from portal.extensions import db
from portal.models import Purchase
from portal.purchases import customers, links, sessions, standing, tickets, unplaced
from portal.purchases.gives import gives

log = structlog.get_logger()


@dataclass(frozen=True)
class Snapshot:
    """A session as Stripe has it, under its sync's number, and what it bought once it is complete.

    `price` is the first line's, fetched only for a Payment Link's session that has no purchase yet.
    """

    mode: str
    number: int
    session: gateway.Session
    bought: Any = None
    price: gateway.Price | None = None
    kind: str = ""  # of what it bought; empty before it is complete
    stray: unplaced.Unplaced | None = None  # it is paid, points here, and no order is behind it

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.session.id


class Mismatch(Conflict):
    """The session and our order disagree about who pays what; nothing is given, and a person has to look."""


def fulfil(mode: str, session_id: str) -> Purchase | None:
    """Bring a purchase to where its session is. Any number of times, from anywhere; commits.

    None for a session that isn't ours. Raises Mismatch where it must not be fulfilled.
    """
    snapshot = act(read(mode, session_id))
    tickets.hold(snapshot)
    purchase = apply(snapshot)
    db.session.commit()
    return purchase


def read(mode: str, session_id: str) -> Snapshot:
    """Take a number and fetch the session, and what it bought. Commits before each call."""
    number = tickets.take(mode, session_id)
    session = gateway.of(mode).session(session_id)
    purchase = find(mode, session)
    db.session.commit()
    stamp = session.metadata.get("portal_mode")
    if session.status != "complete" or stamp not in (None, mode):  # two lanes may share one test account
        return Snapshot(mode, number, session)
    kind, price, stray = purchase.kind if purchase else "", None, None
    if purchase is None and session.payment_link:
        price = gateway.of(mode).session_price(session.id)
        kind = "plan" if links.is_ours(session, price, mode) else ""
        db.session.commit()
    if not kind and session.is_paid:
        stray = unplaced.read(mode, session, price or gateway.of(mode).session_price(session.id))
    bought = gives[kind].read(mode, session) if kind else None
    return Snapshot(mode, number, session, bought, price, kind, stray)


def act(snapshot: Snapshot) -> Snapshot:
    """Do at Stripe what the purchase asks for, if anything; with no transaction open. Commits its claims."""
    act_on = gives[snapshot.kind].act if snapshot.kind else None
    if act_on is None or snapshot.bought is None:
        return snapshot
    return replace(snapshot, bought=act_on(snapshot.bought))


def find(mode: str, session: gateway.Session) -> Purchase | None:
    """The order behind a session: by its id, else (a crash before it was stored) by our own metadata."""
    named = session.metadata.get("purchase")
    query = select(Purchase).where(
        Purchase.mode == mode, or_(Purchase.session_id == session.id, Purchase.number == named)
    )
    return db.session.execute(query).scalars().first()


def apply(snapshot: Snapshot) -> Purchase | None:
    """Write what the session says, once. Flushes."""
    session = snapshot.session
    # The ticket's row is locked first: of two that arrive with one link's session, one writes its purchase.
    newest = tickets.use(snapshot)
    purchase = find(snapshot.mode, session) or (_arrived(snapshot) if newest else None)
    if purchase is None:
        return None
    locks.lock(purchase.customer_id)
    # Read again, also where nothing is written: a webhook may have moved it while this was fetching.
    db.session.refresh(purchase, with_for_update={"of": Purchase, "key_share": True})
    if not newest:
        return purchase
    _compare(purchase, session)
    purchase.session_id = session.id
    purchase.payment_intent = session.payment_intent
    purchase.subscription_id = session.subscription or purchase.subscription_id
    if session.status == "complete":
        purchase.completed_at = purchase.completed_at or clock.now()
    _move(purchase, session)
    if purchase.paid_at and snapshot.bought is not None:
        gives[purchase.kind].write(purchase, snapshot.bought)
    db.session.flush()
    return purchase


def _arrived(snapshot: Snapshot) -> Purchase | None:
    """The purchase of a Payment Link's session, written now that it is here; None where it isn't ours."""
    if snapshot.price is None or not links.is_ours(snapshot.session, snapshot.price, snapshot.mode):
        return None
    return links.arrive(snapshot.mode, snapshot.session, snapshot.price)


def _compare(purchase: Purchase, session: gateway.Session) -> None:
    """Who pays, how much and in what must be what was ordered (money rule 6)."""
    payer = customers.by_stripe_id(purchase.mode, session.customer)
    checks = {
        "session": purchase.session_id in (None, session.id),
        "customer": payer.id == purchase.customer_id if payer else purchase.payment_link is not None,
        "amount": sessions.fits(purchase, session),
    }
    wrong = [name for name, fits in checks.items() if not fits]
    if wrong:
        log.error("purchase_mismatch", order=purchase.number, session=session.id, differs=wrong)
        raise Mismatch(
            f"Order {purchase.number} and its payment differ in {', '.join(wrong)}. Please write to us."
        )


def _move(purchase: Purchase, session: gateway.Session) -> None:
    if session.is_paid:
        standing.move(purchase, "paid")
    elif purchase.state == "open" and session.status == "expired":
        standing.move(purchase, "expired")
    elif purchase.state == "open" and session.payment_failed:
        standing.move(purchase, "failed")
