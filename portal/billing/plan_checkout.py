"""Orders of plans: their checkout, and what a paid order grants."""

from dataclasses import dataclass

from flask import url_for
from sqlalchemy import select

from portal import gateway, mail
from portal.billing import invoices, subscriptions
from portal.billing.lifecycle import contradictions, trials
from portal.billing.pricing import currencies
from portal.billing.status import second_plan
from portal.catalogue import items
from portal.catalogue.items import Item
from portal.customers import access, suspensions
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Order, OrderState, SubscriptionStatus
from portal.models.order import new_number
from portal.orders import checkout, states
from portal.orders.sessions import ID_PLACEHOLDER
from portal.payments import record
from portal.sync import locks


class AlreadySubscribed(Conflict):
    """A second subscription is never sold; the existing plan is changed instead."""

    code = "already_subscribed"
    title = "You already have a plan"


def choose(customer: Customer, word: str, *, front: str, field: str = "price") -> Order:
    """Return the order of what `word` names: paid immediately for the free plan, else with a checkout page.

    `front` is the site that the customer returns to, `field` the input that an error is about. Commits. Raises
    InvalidInput for what is not on sale, AlreadySubscribed, Conflict, StripeUnavailable.
    """
    item = items.find(word, customer.mode, field)
    contradictions.checked(customer, lambda: refuse_second(customer, item))
    if item.is_free:
        return take_free(customer, item)
    return _start(customer, currencies.to_charge(customer, item), front)


def pay(customer: Customer, item: Item, *, front: str, field: str) -> Order:
    """Do the same for a call that can only return a checkout page: the free plan is refused too."""
    if item.is_free:
        raise InvalidInput("The free plan costs nothing.", errors={field: "nothing to pay"})
    contradictions.checked(customer, lambda: refuse_second(customer, item))
    return _start(customer, currencies.to_charge(customer, item), front)


def _start(customer: Customer, item: Item, front: str) -> Order:
    item = trials.offered(customer, item)
    db.session.commit()
    try:
        success_url = f"{front}{url_for('success.page')}?session_id={ID_PLACEHOLDER}"
        return checkout.start(customer, item, checkout.Way(success_url, front + url_for("billing.pricing")))
    except (StripeUnavailable, StripeRefused) as error:
        error.money = "You were not charged."  # starting a checkout never charges
        raise


def refuse_second(customer: Customer, item: Item) -> None:
    """Raise AlreadySubscribed if a plan's subscription has not ended, whether or not it grants access now.

    One that is past due, unpaid or paused can be charged again at any time. Of an allowed price without a tier,
    only a second subscription to the same price is refused.
    """
    running = [
        one
        for one in subscriptions.of_customer(customer.id)
        if (one.tier or one.price_id == item.stripe_id) and one.status != SubscriptionStatus.INCOMPLETE
    ]
    if running:
        pays = any(one.status.in_good_standing for one in running)
        url = mail.external("plan.choose" if pays else "billing.overview")
        raise AlreadySubscribed(
            "You have a plan already. Change it, or pay what is open, instead of buying a second one.",
            money="You were not charged.",
            action=(url, "Change plan"),
            change_url=url,
        )


def take_free(customer: Customer, item: Item) -> Order:
    """Create the free plan's order. It is paid without a payment, so its key can be revealed. Once per
    customer.
    """
    locks.lock(customer.id)  # two concurrent clicks create one order
    query = select(Order).filter_by(customer_id=customer.id, kind="plan", item=item.key, state=OrderState.PAID)
    order = db.session.execute(query).scalars().first()
    if order is None:
        order = states.begin(customer, item, new_number(), {}, state=OrderState.OPEN)
        states.move(order, OrderState.PAID)
        order.completed_at = order.paid_at
    db.session.commit()
    return order


@dataclass(frozen=True)
class Bought:
    """What a completed plan session bought: a subscription and its first invoice, or only a payment if paid
    once.
    """

    subscription: subscriptions.SubscriptionSnapshot | None
    invoice: invoices.InvoiceSnapshot | None
    payment: gateway.PaymentIntent | None = None


def read_bought(mode: Mode, session: gateway.Session) -> Bought:
    """Fetch what a completed session bought."""
    return Bought(
        subscription=subscriptions.read(mode, session.subscription) if session.subscription else None,
        invoice=invoices.read_alone(mode, session.invoice) if session.invoice else None,
        payment=_paid_once(mode, session),
    )


def _paid_once(mode: Mode, session: gateway.Session) -> gateway.PaymentIntent | None:
    if session.subscription or session.payment_intent is None:
        return None
    return gateway.of(mode).payment_intent(session.payment_intent)


def give(order: Order, bought: Bought) -> None:
    """Grant what a paid plan sells: its subscription, or its tier permanently. Access follows from it. Flushes."""
    if bought.subscription is not None:
        subscriptions.apply(bought.subscription)
    access.mark_changed(order.customer_id)
    if bought.payment is not None:
        record.of_order(order, bought.payment)
    suspensions.review(order.customer_id, about=order.number)
    if bought.invoice is not None:
        invoices.apply(bought.invoice)
    if bought.subscription is not None:
        second_plan.report(order)
