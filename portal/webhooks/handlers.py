"""What each event type does: one dict. A handler reads, acts where something is to be done, and applies.

A type may have several handlers, of several rooms: all read, then all act, then all apply in one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from portal.billing import cards, changes, invoices, subscriptions
from portal.credits import payments
from portal.payments import sync
from portal.purchases import archived, clocks, customers, fulfilment, unplaced
from portal.usage import methods


class Parked(Exception):
    """The event is about an object that isn't ours, or not yet.

    `customer` is whose it is at Stripe, where the object does not say so: once they are ours, it is handled.
    """

    def __init__(self, reason: str, customer: str | None = None) -> None:
        super().__init__(reason)
        self.customer = customer


class Unplaced(Parked):
    """The event is about a payment that arrived here and that no order is behind: somebody has to hear of it."""

    def __init__(self, found: unplaced.Unplaced) -> None:
        price = f"the price {found.price.id}" if found.price else "its price"
        super().__init__(f"no order of ours is behind {found.session.id}: {price} gives no plan")
        self.found = found


@dataclass(frozen=True)
class Handler:
    """`read(mode, object_id)` asks Stripe; `act(snapshot)` claims and calls; `apply(snapshot)` writes.

    The first two run with no transaction open, and `act` gives the snapshot to apply. Each may raise Parked.
    What is read is the event's object, or the customer, subscription or invoice that the object names.
    """

    read: Callable[[str, str], Any]
    apply: Callable[[Any], None]
    about: Literal["object", "customer", "subscription", "invoice"] = "object"
    act: Callable[[Any], Any] = lambda snapshot: snapshot


def _session(snapshot: fulfilment.Snapshot) -> None:
    if fulfilment.apply(snapshot) is None:
        if snapshot.stray is not None:
            raise Unplaced(snapshot.stray)
        raise Parked(f"no order of ours is behind {snapshot.session.id}")


def _subscription(snapshot: subscriptions.Snapshot) -> None:
    if subscriptions.apply(snapshot) is None:
        raise Parked(f"{snapshot.facts.customer} is no customer of ours")


def _scheduled(snapshot: subscriptions.Snapshot | None) -> None:
    if snapshot is None:
        raise Parked("it has no subscription yet")
    _subscription(snapshot)


def _invoice(snapshot: invoices.Snapshot) -> None:
    if not invoices.apply(snapshot):
        raise Parked(f"{snapshot.facts.customer} is no customer of ours")


def _customer(snapshot: customers.Snapshot) -> None:
    if not customers.apply(snapshot):
        raise Parked(f"{snapshot.facts.id} is no customer of ours")


def _cards(snapshot: cards.Snapshot) -> None:
    if not cards.apply(snapshot):
        raise Parked(f"{snapshot.customer.facts.id} is no customer of ours")


def _payment(snapshot: payments.Snapshot) -> None:
    # A subscription's payments come here too: its invoice tells of them, so there is nothing more to do.
    if payments.apply(snapshot) is None and not payments.is_customers(snapshot):
        raise Parked(f"no order of ours is behind {snapshot.intent.id}")


def _reversals(snapshot: sync.Snapshot | None) -> None:
    if snapshot is None or sync.apply(snapshot) is None:
        payer = snapshot.charge.customer if snapshot else None
        raise Parked("the payment that it is about paid no order and no invoice of ours", payer)


def _methods(snapshot: methods.Snapshot) -> None:
    if not methods.apply(snapshot):
        raise Parked(f"{snapshot.stripe_customer} is no customer of ours")


def _prices(snapshot: archived.Snapshot) -> None:
    if not archived.apply(snapshot):
        raise Parked("it is no price of ours")


def _follow_subscription(snapshot: subscriptions.Snapshot) -> subscriptions.Snapshot:
    """A change whose payment failed is taken back before what it left is written."""
    ended = changes.follow_payment(snapshot.mode, snapshot.facts.id)
    return subscriptions.read(snapshot.mode, snapshot.facts.id) if ended == "declined" else snapshot


def _follow_invoice(snapshot: invoices.Snapshot) -> invoices.Snapshot:
    if snapshot.facts.subscription is None:
        return snapshot
    ended = changes.follow_payment(snapshot.mode, snapshot.facts.subscription)
    return invoices.read(snapshot.mode, snapshot.facts.id) if ended in ("done", "declined") else snapshot


SESSION = Handler(fulfilment.read, _session, act=fulfilment.act)
SUBSCRIPTION = Handler(subscriptions.read, _subscription, act=_follow_subscription)
SCHEDULE = Handler(subscriptions.read_by_schedule, _scheduled)
INVOICE = Handler(invoices.read, _invoice, act=_follow_invoice)
CUSTOMER = Handler(customers.read, _customer)
CARDS = Handler(cards.read, _cards, about="customer")
CLOCK = Handler(clocks.read, clocks.apply)
CLOCK_GONE = Handler(lambda mode, clock_id: (mode, clock_id), clocks.stop)
PAYMENT = Handler(payments.read, _payment)
CHARGE = Handler(sync.read, _reversals)
REVERSAL = Handler(sync.read_by_reversal, _reversals)
METHODS = Handler(methods.read, _methods, about="customer", act=methods.act)
DISCOUNT = Handler(subscriptions.read, _subscription, about="subscription")
CREDIT_NOTE = Handler(invoices.read, _invoice, about="invoice")
PRICE = Handler(archived.read, _prices)
PRODUCT = Handler(archived.read_product, _prices)
ALWAYS = ("object", "customer")  # an event that names no subscription or invoice concerns no handler of theirs

HANDLERS: dict[str, tuple[Handler, ...]] = {
    "checkout.session.completed": (SESSION,),
    "checkout.session.async_payment_succeeded": (SESSION,),
    "checkout.session.async_payment_failed": (SESSION,),
    "checkout.session.expired": (SESSION,),
    "customer.subscription.created": (SUBSCRIPTION,),
    "customer.subscription.updated": (SUBSCRIPTION,),
    "customer.subscription.deleted": (SUBSCRIPTION,),
    "customer.subscription.paused": (SUBSCRIPTION,),
    "customer.subscription.resumed": (SUBSCRIPTION,),
    "customer.subscription.trial_will_end": (SUBSCRIPTION,),
    "subscription_schedule.created": (SCHEDULE,),
    "subscription_schedule.updated": (SCHEDULE,),
    "subscription_schedule.released": (SCHEDULE,),
    "subscription_schedule.canceled": (SCHEDULE,),
    "invoice.finalized": (INVOICE,),
    "invoice.finalization_failed": (INVOICE,),
    "invoice.sent": (INVOICE,),
    "invoice.updated": (INVOICE,),
    "invoice.paid": (INVOICE,),
    "invoice.payment_succeeded": (INVOICE,),
    "invoice.payment_failed": (INVOICE,),
    "invoice.payment_action_required": (INVOICE,),
    "invoice.voided": (INVOICE,),
    "invoice.marked_uncollectible": (INVOICE,),
    "credit_note.created": (CREDIT_NOTE,),
    "credit_note.updated": (CREDIT_NOTE,),
    "credit_note.voided": (CREDIT_NOTE,),
    "customer.discount.created": (DISCOUNT,),
    "customer.discount.updated": (DISCOUNT,),
    "customer.discount.deleted": (DISCOUNT,),
    "payment_intent.processing": (PAYMENT,),
    "payment_intent.succeeded": (PAYMENT,),
    "payment_intent.payment_failed": (PAYMENT,),
    "payment_intent.canceled": (PAYMENT,),
    "charge.refunded": (CHARGE,),
    "refund.created": (REVERSAL,),
    "refund.updated": (REVERSAL,),
    "refund.failed": (REVERSAL,),
    "charge.dispute.created": (REVERSAL,),
    "charge.dispute.funds_withdrawn": (REVERSAL,),
    "charge.dispute.funds_reinstated": (REVERSAL,),
    "charge.dispute.updated": (REVERSAL,),
    "charge.dispute.closed": (REVERSAL,),
    "customer.updated": (CARDS,),
    "customer.deleted": (CUSTOMER,),
    "payment_method.attached": (CARDS, METHODS),
    "payment_method.detached": (CARDS, METHODS),
    "payment_method.updated": (CARDS,),
    "payment_method.automatically_updated": (CARDS,),
    "price.updated": (PRICE,),
    "price.deleted": (PRICE,),
    "product.updated": (PRODUCT,),
    "product.deleted": (PRODUCT,),
    "test_helpers.test_clock.advancing": (CLOCK,),
    "test_helpers.test_clock.ready": (CLOCK,),
    "test_helpers.test_clock.deleted": (CLOCK_GONE,),
}
