"""Paid sessions that point to this portal and that no order is behind, such as one of a price that nobody mapped.

They are noted once: the buyer and the admins are mailed, and the sweep fulfills them once their price gives a
tier.
"""

from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, exists, or_, select

from portal import clock, extensions, gateway, mail
from portal.extensions import db
from portal.models import CreditPackage, PaymentLink, Plan, Price, Purchase, UnplacedPayment, User
from portal.settings import current_settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Unplaced:
    """Such a session; `price` is its first line's, `tier` what its product or price seems to sell."""

    mode: str
    session: gateway.Session
    price: gateway.Price | None
    tier: str | None


def read(
    mode: str, session: gateway.Session, price: gateway.Price | None, *, landed: bool = False
) -> Unplaced | None:
    """The session, if it is paid and points to this portal; None for another product's. Asks Stripe; commits.

    `landed`: a browser came to the success page with it, which points here well enough.
    """
    stamp = session.metadata.get("portal_mode")
    if not session.is_paid or session.kind == "setup" or stamp not in (None, mode):
        return None
    plan = _plan_of_product(mode, price)
    points = landed or stamp == mode or plan is not None or _points_here(mode, session, price)
    db.session.commit()
    if not points and not _returns_here(mode, session):
        return None
    tier = (price.tier if price else None) or (plan.tier if plan else None)
    return Unplaced(mode, session, price, tier)


def note(found: Unplaced) -> None:
    """Write it down, and mail the buyer and the admins; once for each session. Flushes."""
    session, price_id = found.session, found.price.id if found.price else None
    cost: dict[str, Any] = {"amount": session.amount_total or 0, "currency": session.currency or "usd"}
    row = {
        **cost,
        "mode": found.mode,
        "session_id": session.id,
        "price_id": price_id,
        "tier": found.tier,
        "created_at": clock.now(),
    }
    statement = extensions.insert(UnplacedPayment).values(row)
    statement = statement.on_conflict_do_nothing(index_elements=["mode", "session_id"])
    if db.session.execute(statement.returning(UnplacedPayment.id)).scalar_one_or_none() is None:
        return
    fix = mend(price_id, found.tier)
    log.error("payment_without_order", mode=found.mode, session=session.id, price=price_id, fix=fix)
    if found.mode == "live" and session.email:
        mail.queue(None, "payment_unplaced", f"unplaced:{session.id}", to=session.email, **cost)
    facts = cost | {"session": session.id, "price": price_id, "fix": fix, "test": found.mode == "test"}
    for admin in _admins():
        key = f"unplaced:{session.id}:{admin.id}"
        mail.queue(admin, "payment_unplaced_admin", key, page=mail.external("admin.index"), **facts)


def mend(price_id: str | None, tier: str | None) -> str:
    """The line of `.env` that gives the price a tier, or the word TIER; empty without a price."""
    if price_id is None:
        return ""
    entries = [*current_settings().price_map.items(), (price_id, tier or "TIER")]
    return "STRIPE_PRICE_MAP=" + ";".join(f"{price}:{gives}" for price, gives in entries)


def is_waiting() -> ColumnElement[bool]:
    """Of a row of UnplacedPayment: whether no order is behind it yet."""
    return ~exists().where(
        Purchase.mode == UnplacedPayment.mode, Purchase.session_id == UnplacedPayment.session_id
    )


def still() -> list[UnplacedPayment]:
    """The payments that no order is behind yet, oldest first."""
    query = select(UnplacedPayment).where(is_waiting()).order_by(UnplacedPayment.id)
    return list(db.session.execute(query).scalars())


def mended() -> list[tuple[str, str]]:
    """Mode and session of those whose price gives a tier by now. Ends the transaction."""
    found = [(row.mode, row.session_id) for row in still() if row.price_id and _is_known(row.price_id)]
    db.session.commit()
    return found


def _is_known(price_id: str) -> bool:
    if price_id in current_settings().price_map:
        return True
    known = or_(Price.live_price_id == price_id, Price.test_price_id == price_id)
    return db.session.execute(select(Price.id).where(known)).first() is not None


def _points_here(mode: str, session: gateway.Session, price: gateway.Price | None) -> bool:
    """Whether it names an order, came through a Payment Link of ours, or sells a package's product."""
    if session.metadata.get("purchase"):
        return True
    ours = select(PaymentLink.id).filter_by(mode=mode, stripe_id=session.payment_link)
    if session.payment_link and db.session.execute(ours).first():
        return True
    column = CreditPackage.live_product_id if mode == "live" else CreditPackage.test_product_id
    return bool(price and db.session.execute(select(CreditPackage.id).where(column == price.product)).first())


def _plan_of_product(mode: str, price: gateway.Price | None) -> Plan | None:
    if price is None:
        return None
    column = Plan.live_product_id if mode == "live" else Plan.test_product_id
    return db.session.execute(select(Plan).where(column == price.product)).scalars().first()


def _returns_here(mode: str, session: gateway.Session) -> bool:
    """Whether the buyer is sent to BASE_URL afterwards, by the session or by its Payment Link."""
    urls = [session.success_url]
    if session.payment_link:
        urls.append(gateway.of(mode).payment_link(session.payment_link).redirect)
    base = current_settings().base_url + "/"
    return any(url.startswith(base) for url in urls if url)


def _admins() -> list[User]:
    return list(db.session.execute(select(User).filter_by(role="admin", deleted_at=None)).scalars())
