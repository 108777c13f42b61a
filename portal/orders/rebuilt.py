"""Orders rebuilt from their Checkout Sessions: a restored backup has none that were made after it."""

import re

import structlog
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, dry_run, gateway, mail
from portal.catalogue.items import Item
from portal.customers import owners, stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, Order, OrderState
from portal.models.order import ALPHABET
from portal.orders import states
from portal.orders.kinds import gives
from portal.orders.sessions import Params
from portal.settings import current_settings
from portal.sync import locks, parked_events

log = structlog.get_logger()

NUMBER = re.compile(f"PO-[{ALPHABET}]{{10}}")


def write(mode: Mode, session: gateway.Session) -> Order | None:
    """Write the order of a paid session that this portal created and does not know; None for any other session.

    What it sold, and for how much, is the catalogue's entry of its price, so fulfillment compares amount and
    currency as for any order. Calls Stripe; commits. A dry run writes nothing.
    """
    if dry_run.under_way() or not _is_ours(mode, session):
        return None
    lane = gateway.of(mode)
    lines = lane.session_lines(session.id)
    payer = lane.customer(session.customer) if session.customer else None
    sold = gives[session.metadata["kind"]].sold
    if sold is None or payer is None or len(lines) != 1:
        return None
    line, item = lines[0], sold(mode, lines[0])
    if item is None:
        db.session.commit()
        return None
    try:
        order = _write(mode, session, payer, item, _params(session, item, line))
        db.session.commit()
    except IntegrityError:  # another delivery wrote it first
        db.session.rollback()
        return None
    log.warning("order_rebuilt", order=order.number, session=session.id, mode=mode)
    return order


def _is_ours(mode: Mode, session: gateway.Session) -> bool:
    """Return whether it is paid, has an order's metadata, and returns here: portals can share a Stripe account."""
    settings, facts = current_settings(), session.metadata
    return (
        session.is_paid
        and session.kind != "setup"
        and session.payment_link is None
        and facts.get("portal_mode") == mode
        and facts.get("kind") in gives
        and NUMBER.fullmatch(facts.get("purchase", "")) is not None
        and (session.success_url or "").startswith((f"{settings.base_url}/", f"{settings.frontend_url}/"))
    )


def _params(session: gateway.Session, item: Item, line: gateway.SessionLine) -> Params:
    """Return the parameters that fulfillment compares the session with."""
    params: Params = {"customer": session.customer, "success_url": session.success_url}
    params["line_items"] = [{"price": line.price.id, "quantity": line.quantity}]
    if item.trial_days and not line.amount:
        params["subscription_data"] = {"trial_period_days": item.trial_days}
    if session.takes_codes:
        params["allow_promotion_codes"] = True
    return params


def _write(mode: Mode, session: gateway.Session, payer: gateway.Customer, item: Item, params: Params) -> Order:
    customer = _buyer(mode, payer)
    is_new = not customer.user.is_claimed
    number = session.metadata["purchase"]
    # Unclear until fulfillment has compared it: the customer may have another open order of a plan.
    order = states.begin(
        customer, item, number, params, session_id=session.id, made_account=is_new, state=OrderState.UNCLEAR
    )
    order.created_at = session.created or clock.now()
    db.session.flush()
    audit.record("purchase.rebuilt", customer_id=customer.id, subject=number, key=f"purchase:{number}:rebuilt")
    if is_new:
        mail.queue(customer.user, "claim", f"claim:{number}")
    parked_events.look_soon(mode, session=session.id)
    return order


def _buyer(mode: Mode, payer: gateway.Customer) -> Customer:
    """Return the customer who has this Stripe customer. Flushes.

    If nobody has, it is the one that it was created for, else the owner of its address.
    """
    known = locks.lock_owner(lambda: stripe_customers.id_of(mode, payer.id))
    if known is not None:
        return db.session.get_one(Customer, known)
    customer = _created_for(mode, payer) or stripe_customers.of(owners.of(payer.email), mode)
    stripe_customers.add_name(customer, payer.id, payer.email)
    return customer


def _created_for(mode: Mode, payer: gateway.Customer) -> Customer | None:
    """Return the customer whose id its metadata names, unless the restored database gave the id to another one."""
    named = payer.metadata.get("portal_customer", "")
    if not named.isdecimal() or payer.created is None or payer.metadata.get("portal_mode") != mode:
        return None
    customer = db.session.get(Customer, int(named))
    if customer is None or customer.mode != mode or customer.user.deleted_at is not None:
        return None
    return customer if customer.created_at.replace(microsecond=0) <= payer.created else None
