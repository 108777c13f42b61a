"""Asking Stripe what it will charge, when somebody looks at a copy that is older than five minutes.

The page that asks can do without the answer: calls are short, and after a failure Stripe is not asked for half a
minute, so that a slow Stripe occupies no thread for long. If only the previews fail, the rest is still asked for.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from flask import current_app
from sqlalchemy import select, update

from portal import clock, gateway
from portal.billing import invoices, subscriptions
from portal.billing.subscriptions import SubscriptionSnapshot
from portal.billing.upcoming import drafts, next_invoice, previews
from portal.billing.upcoming.previews import Previewed
from portal.customers import balances, stripe_customers
from portal.enums import Mode
from portal.errors import PortalError, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import (
    Customer,
    Invoice,
    InvoiceStatus,
    PriceChange,
    StripeCustomer,
    Subscription,
    SubscriptionStatus,
)
from portal.sync import versions

log = structlog.get_logger()

PAUSE_SECONDS = 30  # after a failure
PAUSES = "upcoming_pauses"  # by mode, or mode and PREVIEWS: when Stripe may be asked again
PREVIEWS = "previews"


@dataclass(frozen=True)
class Named:
    """One id of a customer at Stripe, and what is about to be charged to it."""

    customer: stripe_customers.CustomerSnapshot
    upcoming: dict[str, Any]
    open_invoices: tuple[str, ...]


def is_stale(mode: Mode, names: Sequence[StripeCustomer], running: Sequence[Subscription]) -> bool:
    """Return whether any of these copies is older than that, or an event came since, and Stripe may be asked."""
    if _pauses(mode):
        return False
    without = _pauses(mode, PREVIEWS)
    asked = [name.asked_at for name in names]
    asked += [one.synced_at if without else one.previewed_at for one in running]
    return not all(map(next_invoice.is_fresh, asked))


def _pauses(mode: Mode, what: str = "") -> bool:
    """Return whether Stripe failed just now."""
    pauses: dict[str, float] = current_app.extensions.setdefault(PAUSES, {})
    return time.monotonic() < pauses.get(mode + what, 0.0)


def _pause(mode: Mode, what: str = "") -> None:
    """Do not ask Stripe for a while."""
    current_app.extensions.setdefault(PAUSES, {})[mode + what] = time.monotonic() + PAUSE_SECONDS


def bring_up_to_date(customer: Customer) -> bool:
    """Sync the customer's subscriptions with their previews, drafts and open invoices. Commits several times.

    Call it outside transactions. Returns False if Stripe does not answer in time, or did not just now.
    """
    if _pauses(customer.mode):
        return False
    try:
        with gateway.quickly():
            _sync(customer)
    except StripeUnavailable as reason:
        db.session.rollback()
        _pause(customer.mode)
        log.warning("upcoming_charges_unknown", customer=customer.id, reason=reason.code)
        return False
    return True


def _sync(customer: Customer) -> None:
    mode = customer.mode
    named = select(StripeCustomer.stripe_id, StripeCustomer.balance, StripeCustomer.balances)
    named = named.filter_by(customer_id=customer.id, deleted_at=None)
    told = (PriceChange.subscription_id == Subscription.id) & (PriceChange.state == "noticed")
    running = select(Subscription.stripe_id, PriceChange).outerjoin(PriceChange, told)
    running = running.filter_by(customer_id=customer.id)
    running = running.where(Subscription.status.not_in(SubscriptionStatus.final()))
    names = {row[0]: balances.is_any(row[1], row[2]) for row in db.session.execute(named) if row[0]}
    changes: dict[str, PriceChange | None] = {row[0]: row[1] for row in db.session.execute(running)}
    db.session.commit()
    asked: list[Callable[[], Any]] = [
        partial(_named, mode, versions.take(mode, one), one, had_balance) for one, had_balance in names.items()
    ]
    asked += [partial(_fetch, mode, versions.take(mode, one), one, change) for one, change in changes.items()]
    found = [one for one in gateway.together(asked) if one is not None]
    versions.hold([one.customer if isinstance(one, Named) else one for one in found])
    for one in found:
        if isinstance(one, Named):
            _apply(mode, one)
        else:
            subscriptions.apply(one)
    db.session.commit()
    _sync_invoices(customer, [invoice for one in found if isinstance(one, Named) for invoice in one.open_invoices])


def _named(mode: Mode, number: int, stripe_id: str, had_balance: bool) -> Named | None:
    """Fetch a customer, their drafts and open invoices, and subscriptions that begin later."""
    lane = gateway.of(mode)
    asked: list[Callable[[], Any]] = [
        partial(stripe_customers.fetch, mode, number, stripe_id, had_balance=had_balance),
        partial(lane.unpaid_invoices, stripe_id, InvoiceStatus.DRAFT),
        partial(lane.unpaid_invoices, stripe_id, InvoiceStatus.OPEN),
        partial(lane.starting_schedules, stripe_id),
    ]
    try:
        customer, draft, unpaid, starting = gateway.together(asked)
        return Named(customer, drafts.of(lane, draft, starting), tuple(one.id for one in unpaid))
    except StripeRefused as refused:
        log.warning("stripe_customer_not_read", stripe_customer=stripe_id, code=refused.stripe_code)
        return None


def _fetch(
    mode: Mode, number: int, subscription_id: str, change: PriceChange | None
) -> SubscriptionSnapshot | None:
    try:
        return subscriptions.fetch(mode, number, subscription_id, partial(_preview, mode, change))
    except StripeRefused as refused:
        log.warning("subscription_not_read", subscription=subscription_id, code=refused.stripe_code)
        return None


def _preview(
    mode: Mode, change: PriceChange | None, lane: gateway.Lane, facts: gateway.Subscription
) -> Previewed | None:
    """Ask for a preview; None if Stripe does not answer, or did not just now."""
    if _pauses(mode, PREVIEWS):
        return None
    try:
        return previews.ask(lane, facts, change)
    except StripeUnavailable as reason:
        _pause(mode, PREVIEWS)
        log.warning("next_invoice_unknown", subscription=facts.id, code=reason.code)
        return None


def _apply(mode: Mode, named: Named) -> None:
    stripe_customers.apply(named.customer)
    mine = update(StripeCustomer).filter_by(mode=mode, stripe_id=named.customer.facts.id)
    db.session.execute(mine.values(upcoming=named.upcoming, asked_at=clock.now()))


def _sync_invoices(customer: Customer, listed: Sequence[str]) -> None:
    """Sync the invoices that are open at Stripe, and those that are open only here. Commits each."""
    ours = select(Invoice.stripe_id).filter_by(customer_id=customer.id, status=InvoiceStatus.OPEN)
    wanted = sorted({*listed, *db.session.execute(ours).scalars()})
    db.session.commit()
    for invoice_id in wanted:
        try:
            snapshot = invoices.read_alone(customer.mode, invoice_id)
            versions.hold(snapshot)
            invoices.apply(snapshot)
            db.session.commit()
        except StripeUnavailable:
            raise
        except PortalError as reason:
            db.session.rollback()
            log.warning("invoice_not_read", invoice=invoice_id, reason=reason.code)
