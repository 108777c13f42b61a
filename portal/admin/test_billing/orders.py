"""Test orders: an admin buys as any user in test mode, with the functions that live orders use."""

from dataclasses import dataclass, replace

from sqlalchemy import func, select

from portal import gateway
from portal.admin.test_billing import credit_orders, plan_orders, time_travel, usage_orders
from portal.billing import cancellation, subscriptions
from portal.billing.cancellation import NothingToCancel
from portal.catalogue import items, packages
from portal.catalogue.items import Item
from portal.credits import ledger
from portal.customers import access, stripe_customers, suspensions
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import (
    CreditEntry,
    Customer,
    Order,
    OrderState,
    StripeCustomer,
    Subscription,
    SubscriptionStatus,
    User,
)
from portal.models.suspension import SuspensionReason
from portal.orders import checkout, find, off_session, states
from portal.orders.checkout import NonceReused, Way
from portal.payments import refunds
from portal.settings import current_settings
from portal.sync import locks
from portal.usage import agreements

BUY = {"plan": plan_orders.buy, "credits": credit_orders.buy, "usage": usage_orders.buy}
KINDS = tuple(BUY)
MOST_TRIAL_DAYS = 90


class LiveKey(Conflict):
    """The test lane has a live key and would charge real cards."""

    code = "live_key_in_test_lane"
    title = "The test lane has a live key"


@dataclass(frozen=True)
class Choice:
    """The item, and how the card behaves: one of off_session.CARDS."""

    kind: str
    item: str
    card: str = "success"
    trial_days: int = 0
    on_clock: bool = False
    nonce: str | None = None  # of the form: submitted twice, it orders once
    amount: int | None = None  # in minor units, of a custom amount of credits


def buy(user: User, choice: Choice) -> Order:
    """Create an off-session order, whose state says how it went. Commits several times.

    Raises InvalidInput by field, LiveKey, Conflict if a test plan is already active, StripeUnavailable.
    """
    customer = _customer(user, choice.on_clock)
    item = _item(choice)
    earlier = find.by_nonce(customer, choice.nonce)
    db.session.commit()
    if earlier:
        if earlier.item != item.key:
            raise NonceReused(
                "It stands for another purchase. Use a new one for each.", money="Nobody was charged."
            )
        return earlier
    if choice.kind == "plan":
        _refuse_second(customer)
    return BUY[choice.kind](customer, item, choice.card, choice.nonce)


def checkout_link(user: User, choice: Choice, *, success_url: str, cancel_url: str) -> Order:
    """Create an order as the customer would, with a checkout page in `session_url`. Commits several times."""
    customer = _customer(user, choice.on_clock)
    item = _item(choice)
    if choice.kind == "usage":
        return agreements.start(customer, success_url=success_url.partition("?")[0], cancel_url=cancel_url)
    if choice.kind == "plan":
        _refuse_second(customer)
    return checkout.start(customer, item, Way(success_url, cancel_url, choice.nonce))


def pay_again(order: Order) -> None:
    """Repeat the calls of an order without a response, with the same keys, so nothing happens twice. Commits."""
    _refuse_live_key()
    off_session.resume(order)


def dispute(order: Order) -> None:
    """Open a dispute for an order's payment; the consequences arrive as webhooks. Commits.

    Raises NotFound if nothing was paid, and Conflict if there is a dispute already. At Stripe itself only a card
    can open one ("dispute" of off_session.CARDS), so there it also raises Conflict.
    """
    if current_settings().is_at_stripe:
        raise Conflict("Stripe disputes no payment on demand. Buy with the card that is disputed.")
    payment = refunds.refundable_of_order(order)
    db.session.commit()
    try:
        gateway.of(Mode.TEST).dispute_in_sandbox(payment.payment_intent)
    except StripeRefused as refused:
        raise Conflict("This payment cannot be disputed any more.") from refused


def cancel(customer: Customer, stripe_id: str) -> None:
    """Cancel one of the customer's test subscriptions immediately. Commits. Raises NotFound."""
    plan_orders.cancel(_own(customer, stripe_id))


def cancel_later(customer: Customer, stripe_id: str) -> Subscription:
    """Cancel one of the customer's test plans at the period's end, as the customer could. Commits.

    Raises NotFound, and Conflict if it has ended or is scheduled to end.
    """
    one = _own(customer, stripe_id)
    try:
        return cancellation.cancel(customer, stripe_id=one.stripe_id)
    except NothingToCancel as refused:
        raise Conflict("This test subscription has ended, or its end is scheduled already.") from refused


def reset(customer: Customer) -> None:
    """Reset a test customer: cancel subscriptions, close orders, zero the balance, and forget the ids at Stripe.

    It also lifts a suspension, which the end of a pay-as-you-go agreement can cause. The ledger keeps its entries.
    Commits several times; can be repeated.
    """
    _refuse_live_key()
    for one in subscriptions.of_customer(customer.id):
        plan_orders.cancel(one)
    _close_orders(customer)
    if customer.test_clock:
        time_travel.end(customer)
    _take_credits_back(customer.id)
    suspensions.lift(customer.id, *SuspensionReason, about="test data reset")
    for name in db.session.execute(select(StripeCustomer).filter_by(customer_id=customer.id)).scalars():
        name.is_current = False
    db.session.commit()


def _close_orders(customer: Customer) -> None:
    """Close open orders, at Stripe too, so that nobody can pay an old checkout page. Commits."""
    query = select(Order).filter_by(customer_id=customer.id, state=OrderState.OPEN)
    for order in db.session.execute(query).scalars().all():
        db.session.commit()
        if not order.off_session:
            checkout.close(order)
        if order.state == OrderState.OPEN:
            states.move(order, OrderState.EXPIRED)
    db.session.commit()


def _own(customer: Customer, stripe_id: str) -> Subscription:
    return access.own_or_404(subscriptions.by_stripe_id(customer.mode, stripe_id), customer)


def _take_credits_back(customer_id: int) -> None:
    """Bring the balance to zero, once even with concurrent calls. Flushes."""
    locks.lock(customer_id)
    if left := ledger.balance(customer_id):
        newest = select(func.max(CreditEntry.id)).filter_by(customer_id=customer_id)
        reference = f"reset:{db.session.execute(newest).scalar_one()}"
        ledger.post(customer_id, -left, "adjustment", reference, description="Test data reset")


def _customer(user: User, on_clock: bool) -> Customer:
    """Return the user's customer in test mode, on a test clock if requested."""
    _refuse_live_key()
    customer = stripe_customers.of(user, Mode.TEST)
    db.session.commit()
    if on_clock and not customer.test_clock:
        _refuse_two_times(customer)
    if on_clock or customer.test_clock:  # its setup may be incomplete
        time_travel.begin(customer)
    return customer


def _refuse_live_key() -> None:
    lane = gateway.of(Mode.TEST)
    if lane.livemode:
        raise LiveKey(
            f"{lane.key_name} is a live key, so nothing is tried out with it. Set one that begins with sk_test_.",
            money="Nobody was charged.",
        )


def _item(choice: Choice) -> Item:
    """Return the item. Raises InvalidInput."""
    if choice.kind not in KINDS:
        raise InvalidInput(
            "Choose a plan, credits or pay as you go.", errors={"kind": "not one of " + ", ".join(KINDS)}
        )
    if choice.card not in off_session.CARDS:
        words = "not one of " + ", ".join(off_session.CARDS)
        raise InvalidInput("Choose how the card behaves.", errors={"card": words})
    if choice.kind == "usage":
        return usage_orders.item()
    if choice.kind == "credits":
        return _credits(choice)
    return _plan(choice)


def _credits(choice: Choice) -> Item:
    """Return a package by its id or key, or a custom amount."""
    word = choice.item
    package = int(word) if word.isascii() and word.isdigit() else word
    offered = [one.key for one in packages.offers(Mode.TEST)]
    try:
        return packages.find(package, Mode.TEST, amount=choice.amount, field="item")
    except InvalidInput as refused:
        raise _listing(refused, [*offered, packages.CUSTOM]) from None


def _plan(choice: Choice) -> Item:
    """Return a plan by its key ("pro", paid monthly if it can be), a price's key, or a price id at Stripe."""
    offered = [one.key for one in items.on_offer(Mode.TEST) if one.amount]
    words = (choice.item, f"{choice.item}-monthly", f"{choice.item}-yearly")
    try:
        item = items.find(next((word for word in words if word in offered), choice.item), Mode.TEST, "item")
        if item.stripe_id is None or item.interval is None:
            wrong = {"item": "costs nothing, or is paid once"}
            raise InvalidInput("There is nothing to pay regularly.", errors=wrong)
    except InvalidInput as refused:
        raise _listing(refused, offered) from None
    return replace(item, trial_days=choice.trial_days) if choice.trial_days else item


def _listing(refused: InvalidInput, valid: list[str]) -> InvalidInput:
    """Return the error with what is valid in place of the item."""
    if "item" in refused.errors:
        refused.errors["item"] = f"{refused.errors['item'].rstrip('.')}. Valid: {', '.join(valid)}"
        refused.extra["valid"] = valid
    return refused


def _refuse_second(customer: Customer) -> None:
    running = [
        one
        for one in subscriptions.of_customer(customer.id)
        if one.tier and one.status != SubscriptionStatus.INCOMPLETE
    ]
    db.session.commit()
    if running:
        raise Conflict("A test plan runs already. Cancel it, or reset the test data, and buy again.")


def _refuse_two_times(customer: Customer) -> None:
    """Refuse to mix: a subscription stays in the time that it began in, so no clock would renew it."""
    running = subscriptions.of_customer(customer.id)
    db.session.commit()
    if running:
        raise Conflict(
            "A test subscription runs in real time, where no clock moves it."
            " Cancel it, or reset the test data, and buy again."
        )
