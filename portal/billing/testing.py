"""Test purchases: an admin buys as any user in test mode, by the verbs that live purchases take."""

from dataclasses import dataclass, replace

from sqlalchemy import func, select

from portal import access, gateway
from portal.billing import cancelling, subscriptions, time_travel
from portal.billing import off_session as plans
from portal.billing.cancelling import NothingToCancel
from portal.credits import ledger, packages
from portal.credits import off_session as credits
from portal.customers import locks, suspensions
from portal.errors import Conflict, InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import CreditEntry, Customer, Purchase, StripeCustomer, Subscription, User
from portal.models.suspension import SuspensionReason
from portal.payments import issue
from portal.purchases import checkout, customers, items, off_session, standing
from portal.purchases.checkout import NonceReused, Way
from portal.purchases.items import Item
from portal.settings import current_settings
from portal.usage import agreements
from portal.usage import off_session as usage

BUY = {"plan": plans.buy, "credits": credits.buy, "usage": usage.buy}
KINDS = tuple(BUY)
MOST_TRIAL_DAYS = 90


class LiveKey(Conflict):
    """The test lane would charge somebody."""

    code = "live_key_in_test_lane"
    title = "The test lane has a live key"


@dataclass(frozen=True)
class Choice:
    """What is bought, and how the card behaves: one of off_session.CARDS."""

    kind: str
    item: str
    card: str = "success"
    trial_days: int = 0
    on_clock: bool = False
    nonce: str | None = None  # of the form: sent twice it buys once


def buy(user: User, choice: Choice) -> Purchase:
    """Buy off session; the order says how it went. Commits as it goes.

    Raises InvalidInput by field, LiveKey, Conflict where a test plan runs already, StripeUnavailable.
    """
    customer = _customer(user, choice.on_clock)
    item = _item(choice)
    if earlier := _by_nonce(customer, choice.nonce):
        if earlier.item != item.key:
            raise NonceReused(
                "It stands for another purchase. Use a new one for each.", money="Nobody was charged."
            )
        return earlier
    if choice.kind == "plan":
        _refuse_second(customer)
    return BUY[choice.kind](customer, item, choice.card, choice.nonce)


def checkout_link(user: User, choice: Choice, *, success_url: str, cancel_url: str) -> Purchase:
    """The same as the customer would: an order with a checkout page in `session_url`. Commits as it goes."""
    customer = _customer(user, choice.on_clock)
    item = _item(choice)
    if choice.kind == "usage":
        return agreements.start(customer, success_url=success_url.partition("?")[0], cancel_url=cancel_url)
    if choice.kind == "plan":
        _refuse_second(customer)
    return checkout.start(customer, item, Way(success_url, cancel_url, choice.nonce))


def pay_again(purchase: Purchase) -> None:
    """Repeat the calls of an order that got no answer: under the same keys, so nothing happens twice. Commits."""
    _refuse_live_key()
    off_session.resume(purchase)


def dispute(purchase: Purchase) -> None:
    """Have the cardholder dispute an order's payment; what follows comes as webhooks. Commits.

    Raises NotFound where nothing was paid, Conflict where a dispute is there already, and at Stripe itself, where
    only a card can do it: "dispute" of off_session.CARDS.
    """
    if current_settings().is_at_stripe:
        raise Conflict("Stripe disputes no payment on demand. Buy with the card that is disputed.")
    payment = issue.of_purchase(purchase)
    db.session.commit()
    try:
        gateway.of("test").dispute_in_sandbox(payment.payment_intent)
    except StripeRefused as refused:
        raise Conflict("This payment cannot be disputed any more.") from refused


def cancel(customer: Customer, stripe_id: str) -> None:
    """End one of the customer's test subscriptions now. Commits. Raises NotFound."""
    plans.cancel(_own(customer, stripe_id))


def cancel_later(customer: Customer, stripe_id: str) -> Subscription:
    """Let one of the customer's test plans end with its period, as they could. Commits.

    Raises NotFound, and Conflict where it has ended or will.
    """
    one = _own(customer, stripe_id)
    try:
        return cancelling.cancel(customer, stripe_id=one.stripe_id)
    except NothingToCancel as refused:
        raise Conflict("This test subscription has ended, or its end is scheduled already.") from refused


def reset(customer: Customer) -> None:
    """Back to nothing: subscriptions end, open orders close, the balance is zero, Stripe's names are forgotten.

    A suspension is lifted too: the end of a pay-as-you-go agreement brings one.

    The ledger keeps what happened. Commits as it goes; again does no harm.
    """
    _refuse_live_key()
    for one in subscriptions.of_customer(customer.id):
        plans.cancel(one)
    _close_orders(customer)
    if customer.test_clock:
        time_travel.end(customer)
    _take_credits_back(customer.id)
    suspensions.lift(customer.id, *SuspensionReason, about="test data reset")
    for name in db.session.execute(select(StripeCustomer).filter_by(customer_id=customer.id)).scalars():
        name.is_current = False
    db.session.commit()


def _close_orders(customer: Customer) -> None:
    """End what is open, at Stripe too: nobody pays a checkout page of before. Commits."""
    query = select(Purchase).filter_by(customer_id=customer.id, state="open")
    for purchase in db.session.execute(query).scalars().all():
        db.session.commit()
        if not purchase.off_session:
            checkout.close(purchase)
        if purchase.state == "open":
            standing.move(purchase, "expired")
    db.session.commit()


def _own(customer: Customer, stripe_id: str) -> Subscription:
    return access.own_or_404(subscriptions.by_stripe_id(customer.mode, stripe_id), customer)


def _take_credits_back(customer_id: int) -> None:
    """Bring the balance to zero; of two who do so at once one does. Flushes."""
    locks.lock(customer_id)
    if left := ledger.balance(customer_id):
        newest = select(func.max(CreditEntry.id)).filter_by(customer_id=customer_id)
        reference = f"reset:{db.session.execute(newest).scalar_one()}"
        ledger.post(customer_id, -left, "adjustment", reference, description="Test data reset")


def _customer(user: User, on_clock: bool) -> Customer:
    """The user's customer in test mode; on a test clock where that is asked for."""
    _refuse_live_key()
    customer = customers.of(user, "test")
    db.session.commit()
    if on_clock and not customer.test_clock:
        _refuse_two_times(customer)
    if on_clock or customer.test_clock:  # which may have been begun only
        time_travel.begin(customer)
    return customer


def _refuse_live_key() -> None:
    lane = gateway.of("test")
    if lane.livemode:
        raise LiveKey(
            f"{lane.key_name} is a live key, so nothing is tried out with it. Set one that begins with sk_test_.",
            money="Nobody was charged.",
        )


def _item(choice: Choice) -> Item:
    """What is bought. Raises InvalidInput."""
    if choice.kind not in KINDS:
        raise InvalidInput(
            "Choose a plan, credits or pay as you go.", errors={"kind": "not one of " + ", ".join(KINDS)}
        )
    if choice.card not in off_session.CARDS:
        words = "not one of " + ", ".join(off_session.CARDS)
        raise InvalidInput("Choose how the card behaves.", errors={"card": words})
    if choice.kind == "usage":
        return usage.item()
    if choice.kind == "credits":
        return packages.find(choice.item, "test", field="item")
    item = items.find(choice.item, "test", "item")
    if item.stripe_id is None or item.interval is None:
        raise InvalidInput("There is nothing to pay regularly.", errors={"item": "costs nothing, or is paid once"})
    return replace(item, trial_days=choice.trial_days) if choice.trial_days else item


def _refuse_second(customer: Customer) -> None:
    running = [one for one in subscriptions.of_customer(customer.id) if one.tier and one.status != "incomplete"]
    db.session.commit()
    if running:
        raise Conflict("A test plan runs already. Cancel it, or reset the test data, and buy again.")


def _refuse_two_times(customer: Customer) -> None:
    """A subscription stays in the time that it began in: no clock would bring its renewal."""
    running = subscriptions.of_customer(customer.id)
    db.session.commit()
    if running:
        raise Conflict(
            "A test subscription runs in real time, where no clock moves it."
            " Cancel it, or reset the test data, and buy again."
        )


def _by_nonce(customer: Customer, nonce: str | None) -> Purchase | None:
    if nonce is None:
        return None
    found = db.session.execute(
        select(Purchase).filter_by(customer_id=customer.id, nonce=nonce)
    ).scalar_one_or_none()
    db.session.commit()
    return found
