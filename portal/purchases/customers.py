"""A user's billing identity, and its name at Stripe."""

from dataclasses import dataclass
from typing import Any

import structlog
from flask import g
from sqlalchemy import select, update

from portal import clock, gateway
from portal.customers import locks
from portal.errors import StripeRefused
from portal.extensions import db, insert
from portal.models import Customer, PortalConfiguration, StripeCustomer, User
from portal.purchases import claims, clocks, tickets

log = structlog.get_logger()


def of(user: User, mode: str = "live") -> Customer:
    """The user's customer in this mode, made where there is none yet. Flushes."""
    db.session.execute(
        insert(Customer)
        .values(user_id=user.id, mode=mode, credit_balance=0, created_at=clock.now())
        .on_conflict_do_nothing(index_elements=["user_id", "mode"])
    )
    return remember(db.session.execute(select(Customer).filter_by(user_id=user.id, mode=mode)).scalar_one())


def find(user: User, mode: str = "live") -> Customer | None:
    """The user's customer in this mode; None before their first purchase or key. Asked once a request."""
    known: dict[tuple[int, str], Customer | None] = g.setdefault("customers", {})
    if (user.id, mode) not in known:
        query = select(Customer).filter_by(user_id=user.id, mode=mode)
        known[user.id, mode] = db.session.execute(query).scalar_one_or_none()
    return known[user.id, mode]


def remember(customer: Customer) -> Customer:
    """Let `find` know a customer that was read otherwise, for the rest of the request."""
    g.setdefault("customers", {})[customer.user_id, customer.mode] = customer
    return customer


def forget(*user_ids: int) -> None:
    """Have `find` ask again about these users: their customers have changed hands."""
    known: dict[tuple[int, str], Customer | None] = g.get("customers", {})
    for key in [key for key in known if key[0] in user_ids]:
        del known[key]


class PortalRefused(StripeRefused):
    """Stripe does not open its own portal for this customer just now."""

    code = "portal_refused"
    title = "Stripe's page could not be opened"


def portal_url(customer: Customer, stripe_customer: str | None, return_url: str, *, to_card: bool = False) -> str:
    """The address of Stripe's own portal, for this name or the current one, made where there is none. Commits.

    With `to_card` it opens where the payment method is changed, and leads back afterwards. Raises PortalRefused.
    """
    pinned = db.session.get(PortalConfiguration, customer.mode)
    db.session.commit()
    name = stripe_customer or at_stripe(customer)
    params: dict[str, Any] = {"customer": name, "return_url": return_url}
    if pinned is not None:
        params["configuration"] = pinned.stripe_id
    if to_card:
        back = {"type": "redirect", "redirect": {"return_url": return_url}}
        params["flow_data"] = {"type": "payment_method_update", "after_completion": back}
    try:
        return gateway.of(customer.mode).create_portal_session(params)
    except StripeRefused as refused:
        log.error("stripe_portal_refused", stripe_customer=name, configuration=params.get("configuration"))
        sync(customer.mode, name)  # it may be the customer who is gone: the next try makes a new one
        words = "Stripe's page for cards and billing details could not be opened. Please try again in a moment."
        raise PortalRefused(words, money="Nothing was changed.", stripe_code=refused.stripe_code) from refused


def by_stripe_id(mode: str, stripe_id: str | None) -> Customer | None:
    """Whose name at Stripe this is; None for a customer that isn't ours."""
    query = (
        select(Customer)
        .join(StripeCustomer)
        .where(StripeCustomer.mode == mode, StripeCustomer.stripe_id == stripe_id)
    )
    return db.session.execute(query).scalar_one_or_none()


def current(customer: Customer) -> StripeCustomer | None:
    """The customer's current name at Stripe; its id is null until Stripe has confirmed it."""
    query = select(StripeCustomer).filter_by(customer_id=customer.id, is_current=True)
    return db.session.execute(query).scalar_one_or_none()


def at_stripe(customer: Customer) -> str:
    """The customer's Stripe id, made at Stripe where there is none. Commits; call it outside transactions."""
    name = current(customer) or claim(customer)
    if name.stripe_id is None:
        made = claims.call(name, lambda key: gateway.of(customer.mode).create_customer(params(name), key))
        name.stripe_id = made.id
    db.session.commit()
    assert name.stripe_id is not None
    return name.stripe_id


def params(name: StripeCustomer) -> dict[str, Any]:
    """What a customer is made with at Stripe."""
    metadata = {"portal_mode": name.mode, "portal_customer": str(name.customer_id)}
    return {"email": name.email, "metadata": metadata}


def claim(customer: Customer) -> StripeCustomer:
    """A row for the name to be, unless another request wrote one a moment ago: the index lets one in."""
    db.session.execute(
        insert(StripeCustomer)
        .values(
            customer_id=customer.id,
            mode=customer.mode,
            email=customer.user.email,
            is_current=True,
            attempt=1,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing()
    )
    db.session.commit()
    name = current(customer)
    assert name is not None
    return name


def add_name(customer: Customer, stripe_customer: str, email: str) -> None:
    """One more name at Stripe for this customer; the current one stays current. Flushes."""
    db.session.execute(
        insert(StripeCustomer)
        .values(
            customer_id=customer.id,
            mode=customer.mode,
            stripe_id=stripe_customer,
            email=email,
            is_current=current(customer) is None,
            attempt=1,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(index_elements=["mode", "stripe_id"])
    )


@dataclass(frozen=True)
class Snapshot:
    """What Stripe says of a customer, under its sync's number, and the test clock that they live on."""

    mode: str
    number: int
    facts: gateway.Customer
    clock: gateway.Clock | None = None

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.facts.id


def sync(mode: str, stripe_id: str) -> bool:
    """Bring what is known of a customer to where Stripe is; commits. False for one that isn't ours."""
    is_ours = apply(read(mode, stripe_id))
    db.session.commit()
    return is_ours


def read(mode: str, stripe_id: str) -> Snapshot:
    """Take a number and fetch."""
    number, lane = tickets.take(mode, stripe_id), gateway.of(mode)
    facts = lane.customer(stripe_id)
    return Snapshot(mode, number, facts, lane.test_clock(facts.test_clock) if facts.test_clock else None)


def apply(snapshot: Snapshot) -> bool:
    """Write mail, default card and clock as Stripe has them, or that the customer is gone.

    False for one that isn't ours. Flushes.
    """
    facts = snapshot.facts
    row = db.session.execute(
        select(StripeCustomer).filter_by(mode=snapshot.mode, stripe_id=facts.id)
    ).scalar_one_or_none()
    if row is None:
        return False
    newest = tickets.use(snapshot)
    locks.lock(row.customer_id)
    clocks.put(row.customer_id, snapshot.clock)
    if newest:
        db.session.execute(update(StripeCustomer).filter_by(id=row.id).values(_values(facts)))
        if facts.deleted:
            log.warning("stripe_customer_deleted", stripe_customer=facts.id, customer=row.customer_id)
    return True


def _values(facts: gateway.Customer) -> dict[str, Any]:
    if facts.deleted:
        return {"is_current": False, "deleted_at": clock.now(), "email": ""}
    card = facts.card
    return {
        "email": facts.email,
        "payment_method": facts.payment_method,
        "card_brand": card.brand if card else None,
        "card_last4": card.last4 if card else None,
        "card_exp_month": card.exp_month if card else None,
        "card_exp_year": card.exp_year if card else None,
        "card_fingerprint": card.fingerprint if card else None,
    }
