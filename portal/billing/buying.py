"""Choosing a plan: what it leads to."""

from flask import url_for
from sqlalchemy import select

from portal import mail
from portal.billing import subscriptions, trials
from portal.customers import locks
from portal.errors import Conflict, InvalidInput, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Purchase
from portal.models.purchase import new_number
from portal.purchases import checkout, items, standing
from portal.purchases.items import Item

SESSION_ID = "{CHECKOUT_SESSION_ID}"  # Stripe puts the session's id in its place


class AlreadySubscribed(Conflict):
    """A second subscription is never sold; the plan is changed instead."""

    code = "already_subscribed"
    title = "You already have a plan"


def choose(customer: Customer, word: str, *, front: str, field: str = "price") -> Purchase:
    """The purchase of what `word` names: for the free plan paid at once, else with a checkout page to go to.

    `front` is the site that the customer comes back to, `field` the input that an error is about. Commits.
    Raises InvalidInput for what is not on sale, AlreadySubscribed, Conflict, StripeUnavailable.
    """
    item = items.find(word, customer.mode, field)
    refuse_second(customer)
    return take_free(customer, item) if item.is_free else _start(customer, item, front)


def pay(customer: Customer, item: Item, *, front: str, field: str) -> Purchase:
    """The same for a call that leads to a checkout page and to nothing else: the free plan is refused, too."""
    if item.is_free:
        raise InvalidInput("The free plan costs nothing.", errors={field: "nothing to pay"})
    refuse_second(customer)
    return _start(customer, item, front)


def _start(customer: Customer, item: Item, front: str) -> Purchase:
    item = trials.offered(customer, item)
    db.session.commit()
    try:
        success_url = f"{front}{url_for('success.page')}?session_id={SESSION_ID}"
        return checkout.start(customer, item, checkout.Way(success_url, front + url_for("billing.pricing")))
    except (StripeUnavailable, StripeRefused) as error:
        error.money = "You were not charged."  # nobody is, by what starts a checkout
        raise


def refuse_second(customer: Customer) -> None:
    """Raise AlreadySubscribed where a subscription to a plan runs, whether it gives access just now or not.

    One that is past due, unpaid or paused can be charged again at any moment.
    """
    running = [one for one in subscriptions.of_customer(customer.id) if one.tier and one.status != "incomplete"]
    if running:
        pays = any(one.status in ("active", "trialing") for one in running)
        url = mail.external("plan.choose" if pays else "billing.overview")
        raise AlreadySubscribed(
            "You have a plan already. Change it, or pay what is open, instead of buying a second one.",
            money="You were not charged.",
            action=(url, "Change plan"),
            change_url=url,
        )


def take_free(customer: Customer, item: Item) -> Purchase:
    """The free plan's order: nothing to pay, so it is paid, and its key can be revealed. Once a customer."""
    locks.lock(customer.id)  # of two clicks, one makes the order
    query = select(Purchase).filter_by(customer_id=customer.id, kind="plan", item=item.key, state="paid")
    purchase = db.session.execute(query).scalars().first()
    if purchase is None:
        purchase = standing.begin(customer, item, new_number(), {}, state="open")
        standing.move(purchase, "paid")
        purchase.completed_at = purchase.paid_at
    db.session.commit()
    return purchase
