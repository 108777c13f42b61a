"""Paid sessions that refer to this portal and have no order, such as one with an unknown price.

Each is recorded once: the buyer and the admins are mailed, and the sweep fulfills it once its price grants a tier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, exists, func, select, update

from portal import audit, clock, extensions, gateway, mail
from portal.enums import Mode
from portal.errors import NotFound
from portal.extensions import db
from portal.models import CreditPackage, Order, PaymentLink, Plan, Price, UnplacedPayment, User
from portal.settings import current_settings

log = structlog.get_logger()

FIRST_WAIT = timedelta(minutes=1)  # doubled with each try
MOST_TRIES = 12  # the last one after almost three days
AT_ONCE = 100
SHOWN = 100


@dataclass(frozen=True)
class Unplaced:
    """Such a session. `price` is the one that seems to be the plan's, `tier` what its product or price seems to
    sell.
    """

    mode: Mode
    session: gateway.Session
    price: gateway.Price | None
    tier: str | None


def read(
    mode: Mode, session: gateway.Session, lines: Sequence[gateway.SessionLine], *, landed: bool = False
) -> Unplaced | None:
    """Return the session if it is paid and refers to this portal; None for another product's. Calls Stripe;
    commits.

    `landed`: a browser came to the success page with it, which proves that it refers here.
    """
    stamp = session.metadata.get("portal_mode")
    if not session.is_paid or session.kind == "setup" or stamp not in (None, mode):
        return None
    prices = [line.price for line in lines]
    plans = {price.id: plan for price in prices if (plan := _plan_of_product(mode, price))}
    # A fee can stand beside the plan: what sells a plan comes first, then what recurs.
    price = min(prices, key=lambda one: (one.id not in plans, one.interval is None), default=None)
    plan = plans.get(price.id) if price else None
    points = landed or stamp == mode or plan is not None or _points_here(mode, session, price)
    db.session.commit()
    if not points and not _returns_here(mode, session):
        return None
    tier = (price.tier if price else None) or (plan.tier if plan else None)
    return Unplaced(mode, session, price, tier)


def note(found: Unplaced) -> None:
    """Record it, and mail the buyer and the admins, once per session. Flushes."""
    session, price_id = found.session, found.price.id if found.price else None
    cost: dict[str, Any] = {"amount": session.amount_total or 0, "currency": session.currency or "usd"}
    row = {
        **cost,
        "mode": found.mode,
        "session_id": session.id,
        "price_id": price_id,
        "tier": found.tier,
        "created_at": clock.now(),
        "next_try_at": clock.now(),
    }
    statement = extensions.insert(UnplacedPayment).values(row)
    statement = statement.on_conflict_do_nothing(index_elements=["mode", "session_id"])
    if db.session.execute(statement.returning(UnplacedPayment.id)).scalar_one_or_none() is None:
        return
    fix = line_to_set() if price_id else ""
    log.error("payment_without_order", mode=found.mode, session=session.id, price=price_id, fix=fix)
    if found.mode == Mode.LIVE and session.email:
        mail.queue(None, "payment_unplaced", f"unplaced:{session.id}", to=session.email, **cost)
    facts = cost | {"session": session.id, "price": price_id, "fix": fix, "test": found.mode == Mode.TEST}
    for admin in _admins():
        key = f"unplaced:{session.id}:{admin.id}"
        mail.queue(admin, "payment_unplaced_admin", key, page=mail.external("admin.index"), **facts)


def line_to_set() -> str:
    """Return the line of `.env` that maps the price to a tier (or to the word TIER); empty without a price."""
    query = select(UnplacedPayment.price_id, func.max(UnplacedPayment.tier)).where(is_waiting())
    query = query.where(UnplacedPayment.price_id.is_not(None)).group_by(UnplacedPayment.price_id)
    prices = db.session.execute(query.order_by(func.min(UnplacedPayment.id))).all()
    waiting = {price: tier or "TIER" for price, tier in prices}
    entries = (current_settings().price_map | waiting).items()
    return "STRIPE_PRICE_MAP=" + ";".join(f"{price}:{tier}" for price, tier in entries) if waiting else ""


def is_waiting() -> ColumnElement[bool]:
    """Return the condition on UnplacedPayment that no order exists for it yet, and no admin has closed it."""
    placed = exists().where(Order.mode == UnplacedPayment.mode, Order.session_id == UnplacedPayment.session_id)
    return ~placed & UnplacedPayment.closed_at.is_(None)


def close(payment_id: int) -> None:
    """Take a payment off the overview, which an admin has dealt with. It is not tried again. Flushes. Raises
    NotFound.
    """
    waiting = update(UnplacedPayment).where(UnplacedPayment.id == payment_id, is_waiting())
    done = waiting.values(closed_at=clock.now(), next_try_at=None)
    row = db.session.execute(done.returning(UnplacedPayment.session_id, UnplacedPayment.amount)).one_or_none()
    if row is None:
        raise NotFound("Somebody has closed this already, or its order was fulfilled.")
    audit.record("payment.closed_without_order", subject=row[0], after={"amount": row[1]})


def still() -> list[UnplacedPayment]:
    """List the oldest payments that have no order yet."""
    query = select(UnplacedPayment).where(is_waiting()).order_by(UnplacedPayment.id).limit(SHOWN)
    return list(db.session.execute(query).scalars())


def mended() -> list[tuple[Mode, str]]:
    """Return mode and session of the due payments whose price grants a tier by now, and count a try. Commits.

    The interval doubles with each try, and after MOST_TRIES it stops: an admin has to look, and the overview lists
    it.
    """
    query = select(UnplacedPayment).where(
        UnplacedPayment.next_try_at <= clock.now(), UnplacedPayment.price_id.in_(_known_prices())
    )
    due = db.session.execute(query.order_by(UnplacedPayment.id).limit(AT_ONCE)).scalars().all()
    placed = select(Order.mode, Order.session_id).where(
        Order.mode.in_(Mode), Order.session_id.in_([row.session_id for row in due])
    )
    ordered = {tuple(row) for row in db.session.execute(placed.limit(2 * AT_ONCE))} if due else set()
    waiting = [row for row in due if (row.mode, row.session_id) not in ordered]
    for row in due:
        row.next_try_at = _next_try(row) if row in waiting else None
    db.session.commit()
    return [(row.mode, row.session_id) for row in waiting]


def _next_try(row: UnplacedPayment) -> datetime | None:
    """Count a try, and return when the next one is due; None after the last."""
    row.tries += 1
    return clock.now() + FIRST_WAIT * (1 << row.tries) if row.tries < MOST_TRIES else None


def _known_prices() -> list[str]:
    """Return the ids of all prices that grant a tier here, or credits."""
    rows = [
        row
        for model in (Price, CreditPackage)
        for row in db.session.execute(select(model.live_price_id, model.test_price_id))
    ]
    return [*current_settings().price_map, *(one for row in rows for one in row if one)]


def _points_here(mode: Mode, session: gateway.Session, price: gateway.Price | None) -> bool:
    """Return whether it names an order, came through a Payment Link of ours, or sells a package's product."""
    if session.metadata.get("purchase"):
        return True
    ours = select(PaymentLink.id).filter_by(mode=mode, stripe_id=session.payment_link)
    if session.payment_link and db.session.execute(ours).first():
        return True
    column = CreditPackage.live_product_id if mode == Mode.LIVE else CreditPackage.test_product_id
    return bool(price and db.session.execute(select(CreditPackage.id).where(column == price.product)).first())


def _plan_of_product(mode: Mode, price: gateway.Price) -> Plan | None:
    column = Plan.live_product_id if mode == Mode.LIVE else Plan.test_product_id
    return db.session.execute(select(Plan).where(column == price.product)).scalars().first()


def _returns_here(mode: Mode, session: gateway.Session) -> bool:
    """Return whether the session or its Payment Link redirects the buyer to BASE_URL."""
    urls = [session.success_url]
    if session.payment_link:
        urls.append(gateway.of(mode).payment_link(session.payment_link).redirect)
    base = current_settings().base_url + "/"
    return any(url.startswith(base) for url in urls if url)


def _admins() -> list[User]:
    return list(db.session.execute(select(User).filter_by(role="admin", deleted_at=None)).scalars())
