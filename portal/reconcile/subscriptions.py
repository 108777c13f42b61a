"""Stripe's subscriptions against our copies: status, price and end of the period."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import select

from portal import gateway
from portal.enums import Mode
from portal.extensions import db
from portal.models import StripeCustomer, Subscription, SubscriptionStatus
from portal.reconcile.difference import Difference
from portal.reconcile.rows import named


def differences(mode: Mode, since: datetime, listed: Mapping[str, gateway.Subscription]) -> Iterator[Difference]:
    """Check that our customers' subscriptions match; unknown ones only if created since then."""
    ours = {row.stripe_id: row for row in named(Subscription, mode, "stripe_id", listed)}
    payers = {name.stripe_id for name in named(StripeCustomer, mode, "stripe_id", _customers(listed))}
    for there in listed.values():
        here = ours.get(there.id)
        is_ours = there.customer in payers or there.metadata.get("portal_mode") == mode
        if here is None and is_ours and there.created >= since:
            yield Difference(mode, "subscription", there.id, _at_stripe(there, None), "none")
        elif here is not None and _at_stripe(there, here) != _in_words(here):
            yield Difference(mode, "subscription", there.id, _at_stripe(there, here), _in_words(here))
    query = select(Subscription).where(
        Subscription.mode == mode, Subscription.status.not_in(SubscriptionStatus.final())
    )
    for row in db.session.execute(query).scalars():
        if row.stripe_id not in listed:
            yield Difference(mode, "subscription", row.stripe_id, "not at Stripe", _in_words(row))


def _customers(listed: Mapping[str, gateway.Subscription]) -> set[str]:
    return {one.customer for one in listed.values()}


def _at_stripe(there: gateway.Subscription, here: Subscription | None) -> str:
    """Return Stripe's values in the form of our row. Of several prices, it is the one in our row, if included."""
    prices = [item.price.id for item in there.items]
    price = here.price_id if here and here.price_id in prices else prices[0]
    return _words(there.status, price, there.period_end)


def _in_words(here: Subscription) -> str:
    return _words(here.status, here.price_id, here.current_period_end)


def _words(status: str, price: str, until: datetime | None) -> str:
    return f"{status} {price} until {until:%Y-%m-%d %H:%M:%S}" if until else f"{status} {price}"
