"""A user's billing identity, and its customer at Stripe."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import g
from sqlalchemy import select, update

from portal import clock, gateway
from portal.customers import balances, test_clocks
from portal.enums import Mode
from portal.errors import StripeRefused
from portal.extensions import db, insert
from portal.models import Customer, PortalConfiguration, StripeCustomer, Subscription, User
from portal.models.card import card_columns
from portal.sync import idempotency, locks, parked_events, versions

log = structlog.get_logger()

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # of a copy that is to be synced first


def of(user: User, mode: Mode = Mode.LIVE) -> Customer:
    """Return the user's customer in this mode and create it if there is none. Flushes."""
    db.session.execute(
        insert(Customer)
        .values(user_id=user.id, mode=mode, credit_balance=0, created_at=clock.now())
        .on_conflict_do_nothing(index_elements=["user_id", "mode"])
    )
    return remember(db.session.execute(select(Customer).filter_by(user_id=user.id, mode=mode)).scalar_one())


def find(user: User, mode: Mode = Mode.LIVE) -> Customer | None:
    """Return the user's customer in this mode; None before their first order or key. Queried once per request."""
    known: dict[tuple[int, str], Customer | None] = g.setdefault("customers", {})
    if (user.id, mode) not in known:
        query = select(Customer).filter_by(user_id=user.id, mode=mode)
        known[user.id, mode] = db.session.execute(query).scalar_one_or_none()
    return known[user.id, mode]


def remember(customer: Customer) -> Customer:
    """Cache a customer that was read elsewhere for `find`, for the rest of the request."""
    g.setdefault("customers", {})[customer.user_id, customer.mode] = customer
    return customer


def forget(*user_ids: int) -> None:
    """Clear the cache of `find`, because customers have moved to another user."""
    known: dict[tuple[int, str], Customer | None] = g.get("customers", {})
    for key in [key for key in known if key[0] in user_ids]:
        del known[key]


class PortalRefused(StripeRefused):
    """Stripe does not open the customer portal for this customer right now."""

    code = "portal_refused"
    title = "Stripe's page could not be opened"


def portal_url(customer: Customer, stripe_customer: str | None, return_url: str, *, to_card: bool = False) -> str:
    """Return the URL of Stripe's portal for this id or the current one, creating the customer if there is none.
    Commits.

    With `to_card` it opens the page that changes the payment method, and returns afterwards. Raises PortalRefused.
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
    lane = gateway.of(customer.mode)
    try:
        return lane.create_portal_session(params)
    except StripeRefused as refused:
        if is_deleted(customer.mode, name):
            return lane.create_portal_session(params | {"customer": at_stripe(customer)})
        log.error("stripe_portal_refused", stripe_customer=name, configuration=params.get("configuration"))
        words = "Stripe's page for cards and billing details could not be opened. Please try again in a moment."
        raise PortalRefused(words, money="Nothing was changed.", stripe_code=refused.stripe_code) from refused


def by_stripe_id(mode: Mode, stripe_id: str | None) -> Customer | None:
    """Return the customer with this id at Stripe; None for one that isn't ours."""
    query = (
        select(Customer)
        .join(StripeCustomer)
        .where(StripeCustomer.mode == mode, StripeCustomer.stripe_id == stripe_id)
    )
    return db.session.execute(query).scalar_one_or_none()


def id_of(mode: Mode, stripe_id: str | None) -> int | None:
    """Return the id of the customer that this Stripe id belongs to now; None for one that isn't ours."""
    query = select(StripeCustomer.customer_id).filter_by(mode=mode, stripe_id=stripe_id)
    return db.session.execute(query).scalar_one_or_none()


def current(customer: Customer) -> StripeCustomer | None:
    """Return the customer's current id at Stripe, which is null until Stripe has confirmed it."""
    query = select(StripeCustomer).filter_by(customer_id=customer.id, is_current=True)
    return db.session.execute(query).scalar_one_or_none()


def at_stripe(customer: Customer) -> str:
    """Return the customer's Stripe id, creating the customer at Stripe if needed. Commits; call it outside
    transactions.
    """
    name = current(customer) or claim(customer)
    if name.stripe_id is None:
        made = idempotency.call(name, lambda key: gateway.of(customer.mode).create_customer(params(name), key))
        confirm(name, made.id)
    db.session.commit()
    assert name.stripe_id is not None
    return name.stripe_id


def confirm(name: StripeCustomer, stripe_id: str) -> None:
    """Write the id that Stripe gave to a claimed customer. Flushes."""
    name.stripe_id = stripe_id
    db.session.flush()
    parked_events.look_soon(name.mode, customer=stripe_id)


def params(name: StripeCustomer) -> dict[str, Any]:
    """Return the parameters that create a customer at Stripe."""
    metadata = {"portal_mode": name.mode, "portal_customer": str(name.customer_id)}
    return {"email": name.email, "metadata": metadata}


def claim(customer: Customer) -> StripeCustomer:
    """Write the row of a new customer at Stripe. A unique index allows one if two requests are concurrent."""
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
    """Add another Stripe id to this customer. The current one stays current. Flushes."""
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
    parked_events.look_soon(customer.mode, customer=stripe_customer)


@dataclass(frozen=True)
class CustomerSnapshot:
    """A customer as Stripe has it, with its sync number and the customer's test clock."""

    mode: Mode
    number: int
    facts: gateway.Customer
    clock: gateway.Clock | None = None
    balance_changes: tuple[gateway.BalanceChange, ...] | None = None  # None: there is and was no balance

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return self.facts.id


def sync(mode: Mode, stripe_id: str) -> bool:
    """Sync a customer with Stripe; commits. Returns False for one that isn't ours."""
    is_ours = apply(read(mode, stripe_id))
    db.session.commit()
    return is_ours


def is_deleted(mode: Mode, stripe_id: str) -> bool:
    """Sync a customer that Stripe refused, and return whether it was deleted there. Commits.

    `at_stripe` then creates another one.
    """
    snapshot = read(mode, stripe_id)
    apply(snapshot)
    db.session.commit()
    return snapshot.facts.deleted


def read(mode: Mode, stripe_id: str) -> CustomerSnapshot:
    """Take a number and fetch the customer."""
    query = select(StripeCustomer.balance, StripeCustomer.balances).filter_by(mode=mode, stripe_id=stripe_id)
    had_balance = balances.is_any(*(db.session.execute(query).one_or_none() or (0, {})))
    return fetch(mode, versions.take(mode, stripe_id), stripe_id, had_balance=had_balance)


def fetch(mode: Mode, number: int, stripe_id: str, *, had_balance: bool) -> CustomerSnapshot:
    """Do the same with a number that was taken. `had_balance`: our copy has a balance, which may be gone."""
    lane = gateway.of(mode)
    facts = lane.customer(stripe_id)
    time = lane.test_clock(facts.test_clock) if facts.test_clock else None
    # Most have no balance, and are spared a call.
    has_changes = had_balance or bool(facts.balance or facts.other_balances)
    return CustomerSnapshot(mode, number, facts, time, lane.balance_changes(stripe_id) if has_changes else None)


def apply(snapshot: CustomerSnapshot) -> bool:
    """Write the address, default card and clock as Stripe has them, or that the customer was deleted.

    Returns False for a customer that isn't ours. Flushes.
    """
    facts = snapshot.facts
    if id_of(snapshot.mode, facts.id) is None:
        return False
    newest = versions.use(snapshot)
    owner_id = locks.lock_owner(lambda: id_of(snapshot.mode, facts.id))
    assert owner_id is not None  # rows of Stripe ids are never deleted
    test_clocks.put(owner_id, snapshot.clock)
    if newest:
        name = update(StripeCustomer).filter_by(mode=snapshot.mode, stripe_id=facts.id)
        db.session.execute(name.values(_values(snapshot)))
        if facts.deleted:
            _end_subscriptions(snapshot.mode, facts.id)
            log.warning("stripe_customer_deleted", stripe_customer=facts.id, customer=owner_id)
    return True


def _end_subscriptions(mode: Mode, stripe_id: str) -> None:
    """Mark the copies of a deleted customer's subscriptions as stale, because Stripe ended them too. Flushes."""
    theirs = update(Subscription).filter_by(mode=mode, stripe_customer=stripe_id, ended_at=None)
    db.session.execute(theirs.values(synced_at=LONG_AGO))


def _values(snapshot: CustomerSnapshot) -> dict[str, Any]:
    facts, changes = snapshot.facts, snapshot.balance_changes
    if facts.deleted:
        return {"is_current": False, "deleted_at": clock.now(), "email": "", "details": {}}
    return {
        "email": facts.email,
        "payment_method": facts.payment_method,
        "balance": facts.balance,
        "currency": facts.currency,
        **({} if changes is None else {"balances": balances.stored(facts, changes)}),
        **card_columns(facts.card),
        "details": details_of(facts),
        "card_fingerprint": facts.card.fingerprint if facts.card else None,
    }


def details_of(facts: gateway.Customer) -> dict[str, Any]:
    """Return the billing details of a customer as they are stored: name, address, tax_ids."""
    tax_ids = [{"id": one.id, "type": one.type, "value": one.value, "status": one.status} for one in facts.tax_ids]
    given = {"name": facts.name, "address": facts.address, "tax_ids": tax_ids}
    return {name: value for name, value in given.items() if value}
