"""The handlers of each event type, in one dict. A handler reads, acts if there is something to do, and applies.

A type can have handlers from several rooms: all read, then all act, then all apply in one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from portal.billing import card_sync, invoices, subscriptions
from portal.billing.plan_change import change_requests
from portal.catalogue import archived_prices
from portal.credits.orders import payments
from portal.customers import stripe_customers, test_clocks
from portal.enums import Mode
from portal.orders import fulfillment
from portal.payments import fraud_warnings, reversal_sync
from portal.usage import missing_payment_method
from portal.webhooks.parked import Parked, Unplaced


@dataclass(frozen=True)
class Handler:
    """`read(mode, object_id)` fetches from Stripe; `act(snapshot)` claims and calls; `apply(snapshot)` writes.

    The first two run with no transaction open, and `act` returns the snapshot to apply. Each may raise Parked. The
    object is the event's own, or the customer, subscription or invoice that it names. `does` is the description in
    docs/webhooks.md.
    """

    read: Callable[[Mode, str], Any]
    apply: Callable[[Any], None]
    does: str
    about: Literal["object", "customer", "subscription", "invoice"] = "object"
    act: Callable[[Any], Any] = lambda snapshot: snapshot


def _session(snapshot: fulfillment.SessionSnapshot) -> None:
    if fulfillment.apply(snapshot) is None:
        if snapshot.stray is not None:
            raise Unplaced(snapshot.stray)
        raise Parked(f"no order of ours is behind {snapshot.session.id}")


def _subscription(snapshot: subscriptions.SubscriptionSnapshot) -> None:
    if subscriptions.apply(snapshot) is None:
        raise Parked(f"{snapshot.facts.customer} is no customer of ours")


def _scheduled(snapshot: subscriptions.SubscriptionSnapshot | None) -> None:
    if snapshot is None:
        raise Parked("it has no subscription yet")
    _subscription(snapshot)


def _invoice(snapshot: invoices.InvoiceSnapshot) -> None:
    if not invoices.apply(snapshot):
        raise Parked(f"{snapshot.facts.customer} is no customer of ours")


def _customer(snapshot: stripe_customers.CustomerSnapshot) -> None:
    if not stripe_customers.apply(snapshot):
        raise Parked(f"{snapshot.facts.id} is no customer of ours")


def _cards(snapshot: card_sync.CardsSnapshot) -> None:
    if not card_sync.apply(snapshot):
        raise Parked(f"{snapshot.customer.facts.id} is no customer of ours")


def _payment(snapshot: payments.OrderPaymentSnapshot) -> None:
    # A subscription's payments arrive here too. Its invoice reports them, so there is nothing more to do.
    if payments.apply(snapshot) is None and not payments.is_customers(snapshot):
        raise Parked(f"no order of ours is behind {snapshot.intent.id}")


def _reversals(snapshot: reversal_sync.PaymentSnapshot | None) -> None:
    if snapshot is None or reversal_sync.apply(snapshot) is None:
        payer = snapshot.charge.customer if snapshot else None
        raise Parked("the payment that it is about paid no order and no invoice of ours", payer)


def _warning(snapshot: fraud_warnings.WarningSnapshot) -> None:
    if not fraud_warnings.apply(snapshot):
        payer = snapshot.payment.charge.customer
        raise Parked("the payment that it is about paid no order and no invoice of ours", payer)


def _methods(snapshot: missing_payment_method.MethodsSnapshot) -> None:
    if not missing_payment_method.apply(snapshot):
        raise Parked(f"{snapshot.stripe_customer} is no customer of ours")


def _prices(snapshot: archived_prices.PriceSnapshot) -> None:
    if not archived_prices.apply(snapshot):
        raise Parked("it is no price of ours")


def _follow_subscription(snapshot: subscriptions.SubscriptionSnapshot) -> subscriptions.SubscriptionSnapshot:
    """Undo a change whose payment failed before the resulting state is written."""
    ended = change_requests.follow_payment(snapshot.mode, snapshot.facts.id)
    return subscriptions.read(snapshot.mode, snapshot.facts.id) if ended == "declined" else snapshot


def _follow_invoice(snapshot: invoices.InvoiceSnapshot) -> invoices.InvoiceSnapshot:
    if snapshot.facts.subscription is None:
        return snapshot
    ended = change_requests.follow_payment(snapshot.mode, snapshot.facts.subscription)
    return invoices.read(snapshot.mode, snapshot.facts.id) if ended in ("done", "declined") else snapshot


SESSION = Handler(
    fulfillment.read,
    _session,
    "Reads the Checkout session. Fulfills its order if Stripe says that it is paid; else marks it failed or"
    " expired.",
    act=fulfillment.act,
)
SUBSCRIPTION = Handler(
    subscriptions.read,
    _subscription,
    "Reads the subscription: status, plan, period, trial, payment method.",
    act=_follow_subscription,
)
SCHEDULE = Handler(
    subscriptions.read_by_schedule,
    _scheduled,
    "Reads the subscription, and what the schedule changes at the next renewal.",
)
INVOICE = Handler(
    invoices.read,
    _invoice,
    "Reads the invoice, its payments and its subscription. A failed payment may begin the grace period; a paid"
    " invoice ends it. Admins are told of one that cannot be finalized.",
    act=_follow_invoice,
)
CUSTOMER = Handler(
    stripe_customers.read,
    _customer,
    "Reads the customer. The next purchase of a deleted one creates another at Stripe.",
)
TAX_ID = Handler(
    stripe_customers.read,
    _customer,
    "Reads the customer with its tax IDs, and whether they are verified.",
    about="customer",
)
CARDS = Handler(
    card_sync.read,
    _cards,
    "Reads the customer, the default payment method, and the running subscriptions that it pays.",
    about="customer",
)
CLOCK = Handler(
    test_clocks.read,
    test_clocks.apply,
    "Updates the time of the customers on this test clock.",
)
CLOCK_GONE = Handler(
    lambda mode, clock_id: (mode, clock_id),
    test_clocks.stop,
    "Returns the customers of this test clock to real time.",
)
PAYMENT = Handler(
    payments.read,
    _payment,
    "Reads the payment. Fulfills or ends the order of credits that it pays; shows one that the bank has yet to"
    ' confirm as "Processing".',
)
CHARGE = Handler(
    reversal_sync.read,
    _reversals,
    "Reads all refunds and disputes of the charge, and takes back or gives back what follows from the total"
    " withdrawn now.",
)
REVERSAL = Handler(
    reversal_sync.read_by_reversal,
    _reversals,
    "Reads all refunds and disputes of the same charge, and takes back or gives back what follows from the total"
    " withdrawn now.",
)
FRAUD_WARNING = Handler(
    fraud_warnings.read,
    _warning,
    "Reads the warning and its payment. Tells the admins by email and on the overview.",
)
METHODS = Handler(
    missing_payment_method.read,
    _methods,
    "Suspends a customer of metered usage without a payment method, and lifts the suspension once there is one.",
    about="customer",
    act=missing_payment_method.act,
)
DISCOUNT = Handler(
    subscriptions.read,
    _subscription,
    "Reads the subscription that the discount is on.",
    about="subscription",
)
CREDIT_NOTE = Handler(
    invoices.read,
    _invoice,
    "Reads the invoice that is credited, and its subscription.",
    about="invoice",
)
INVOICE_ITEM = Handler(
    invoices.read,
    _invoice,
    "Reads the invoice that the item is on, and its subscription; an item that is on none yet concerns nobody.",
    about="invoice",
)
PRICE = Handler(
    archived_prices.read,
    _prices,
    "Reads the price. An archived one is not offered until it is active again.",
)
PRODUCT = Handler(
    archived_prices.read_product,
    _prices,
    "Reads the prices of the product. Archived ones are not offered until they are active again.",
)
ALWAYS = ("object", "customer")  # an event without a subscription or invoice has no handler for them

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
    "invoiceitem.created": (INVOICE_ITEM,),
    "invoiceitem.deleted": (INVOICE_ITEM,),
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
    "radar.early_fraud_warning.created": (FRAUD_WARNING,),
    "radar.early_fraud_warning.updated": (FRAUD_WARNING,),
    "customer.updated": (CARDS,),
    "customer.deleted": (CUSTOMER,),
    "customer.tax_id.created": (TAX_ID,),
    "customer.tax_id.updated": (TAX_ID,),
    "customer.tax_id.deleted": (TAX_ID,),
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
