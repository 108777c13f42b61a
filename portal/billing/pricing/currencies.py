"""The currency that a customer is charged in, and prices in it.

A customer's subscriptions at Stripe have one currency. A price can have several: Stripe charges the customer's.
https://docs.stripe.com/invoicing/multi-currency-customers
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import and_, select

from portal import gateway
from portal.billing.pricing import stripe_prices
from portal.catalogue import items
from portal.catalogue.items import Item
from portal.enums import Mode
from portal.errors import Conflict
from portal.extensions import db
from portal.models import Customer, Price, StripeCustomer, Subscription, SubscriptionStatus


class OtherCurrency(Conflict):
    """The price has no amount in the currency of the customer's subscriptions."""

    code = "other_currency"
    title = "This price has another currency"


@dataclass(frozen=True)
class Charged:
    """The currency of a customer at Stripe (None: not charged yet). `is_fixed`: a subscription holds it."""

    currency: str | None = None
    is_fixed: bool = False

    def refusal(self, currency: str) -> str:
        """Return why Stripe refuses a price in this currency; empty if it does not."""
        if not self.is_fixed or self.currency in (None, currency):
            return ""
        return in_words(self.currency or "", currency)


def in_words(paid: str, asked: str) -> str:
    """Return why a customer who pays in one currency cannot subscribe to a price in another."""
    return (
        f"Your subscription is paid in {paid.upper()}, and this price is in {asked.upper()}. Stripe charges all "
        "subscriptions of a customer in one currency."
    )


def of(customer: Customer | None) -> tuple[Charged, list[Subscription]]:
    """Return a customer's currency, and the subscriptions that have not ended. Runs one query."""
    if customer is None:
        return Charged(), []
    running = and_(
        Subscription.mode == StripeCustomer.mode,
        Subscription.stripe_customer == StripeCustomer.stripe_id,
        Subscription.status.not_in(SubscriptionStatus.final()),
    )
    query = select(StripeCustomer.currency, StripeCustomer.is_current, Subscription)
    query = query.outerjoin(Subscription, running).where(StripeCustomer.customer_id == customer.id)
    rows = db.session.execute(query).all()
    current = [row for row in rows if row.is_current]
    subscriptions = [row.Subscription for row in rows if row.Subscription is not None]
    if not current:
        return Charged(), subscriptions
    return Charged(current[0].currency, any(row.Subscription for row in current)), subscriptions


def to_charge(customer: Customer, item: Item) -> Item:
    """Return an item as Stripe will charge it to this customer. Ends the transaction.

    Raises OtherCurrency if Stripe would refuse it, StripeUnavailable.
    """
    charged, _ = of(customer)
    db.session.commit()
    if item.stripe_id is None or charged.currency in (None, item.currency):
        return item
    found = _within(item, gateway.of(customer.mode).price(item.stripe_id), charged.currency)
    if found is not None:
        return found
    if refusal := charged.refusal(item.currency):
        action = ("/billing", "See your billing")
        raise OtherCurrency(refusal, money="You were not charged.", action=action)
    return item


def within(sold: Sequence[Item], currency: str | None, mode: Mode) -> list[Item]:
    """Return the items in this currency where Stripe has such an amount, as `described`. Ends the transaction."""
    other = [one.stripe_id for one in sold if one.stripe_id and currency not in (None, one.currency)]
    db.session.commit()
    if not other:
        return list(sold)
    known = stripe_prices.described(mode, other).prices
    return [_within(one, known.get(one.stripe_id or ""), currency) or one for one in sold]


def amounts(prices: Sequence[Price], currency: str | None, mode: Mode) -> dict[str, tuple[int, str]]:
    """Return what each price of the catalogue costs in this currency, where it has one: key → amount, currency.

    Ends the transaction.
    """
    sold = [items.of_price(price, mode) for price in prices if price.stripe_id(mode)]
    found = within([one for one in sold if one], currency, mode)
    listed = {price.key: (price.amount, price.currency) for price in prices}
    return listed | {one.key: (one.amount, one.currency) for one in found}


def _within(item: Item, price: gateway.Price | None, currency: str | None) -> Item | None:
    found = price.within(currency) if price else None
    if found is None:
        return None
    amount = 0 if found.metered else found.cost(item.quantity)
    return None if amount is None else replace(item, amount=amount, currency=found.currency)
