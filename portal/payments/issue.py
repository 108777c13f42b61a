"""Giving money back: an order for each refund, so that two at once refund once. Ledgers follow by webhook."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from portal import clock, gateway, money
from portal.errors import Conflict, InvalidInput, NotFound, PortalError, StripeRefused
from portal.extensions import db
from portal.models import Invoice, Payment, Purchase, RefundOrder
from portal.purchases import claims

log = structlog.get_logger()

LEFT_AFTER = timedelta(minutes=1)  # an open order this old belongs to no request any more
REPEATABLE = timedelta(hours=23)  # Stripe knows a repeated call by its key for 24


@dataclass(frozen=True)
class Refundable:
    """A payment at Stripe, and how much of it was given back already; minor units of `currency`.

    `ordered` is the part that was ordered here, which Stripe may not have told of yet.
    """

    customer_id: int
    mode: str
    payment_intent: str
    amount: int
    refunded: int
    ordered: int
    currency: str


def of_payment(payment: Payment) -> Refundable:
    """What bought credits."""
    ordered = _ordered(payment.payment_intent)
    refunded = max(payment.amount_refunded, ordered)
    facts = (payment.customer_id, payment.mode, payment.payment_intent, payment.amount)
    return Refundable(*facts, refunded, ordered, payment.currency)


def of_invoice(invoice: Invoice) -> Refundable:
    """What paid an invoice. Raises NotFound where nothing was paid."""
    intent = (invoice.payment_intent or _asked(invoice)) if invoice.amount_paid else None
    if intent is None:
        raise NotFound("Nothing was paid by this invoice, so nothing can be given back.")
    ordered = _ordered(intent)
    facts = (invoice.customer_id, invoice.mode, intent, invoice.amount_paid)
    return Refundable(*facts, ordered, ordered, invoice.currency)


def _asked(invoice: Invoice) -> str | None:
    """The same from Stripe, of an invoice that was listed, or kept before payments were. Commits."""
    db.session.commit()
    found = gateway.of(invoice.mode).invoice(invoice.stripe_id).payment_intent
    invoice.payment_intent = found
    db.session.commit()
    return found


def of_purchase(purchase: Purchase) -> Refundable:
    """What paid an order: its own payment, or its subscription's first invoice. Raises NotFound."""
    payment = db.session.execute(select(Payment).filter_by(purchase_id=purchase.id)).scalars().first()
    if payment is not None and payment.status == "succeeded":
        return of_payment(payment)
    query = select(Invoice).filter_by(customer_id=purchase.customer_id, subscription_id=purchase.subscription_id)
    paid = query.where(Invoice.status == "paid", Invoice.amount_paid > 0).order_by(Invoice.id)
    invoice = db.session.execute(paid).scalars().first() if purchase.subscription_id else None
    if invoice is None:
        raise NotFound("Nothing was paid for this order, so nothing can be given back.")
    return of_invoice(invoice)


def refund(payment: Refundable, amount: int, seen: int, nonce: str) -> RefundOrder:
    """Give so much back; `seen` is how much was refunded when the form was shown. Commits as it goes.

    The same form again is the same refund. Raises Conflict where somebody was faster, or Stripe says no;
    InvalidInput for more than is left; StripeUnavailable, after which `run` repeats the same call.
    """
    order = _by_nonce(nonce, payment, amount) or _claim(payment, amount, seen, nonce)
    if order.state == "failed":
        raise _refused()
    if order.state == "open":
        _carry_out(order)
    return order


def run() -> int:
    """The tick's chore: repeat the calls that got no answer, under the same keys; gives how many. Commits."""
    query = select(RefundOrder).filter_by(state="open").where(RefundOrder.created_at < clock.now() - LEFT_AFTER)
    left = db.session.execute(query).scalars().all()
    db.session.commit()
    for order in left:
        try:
            _finish(order)
        except PortalError as reason:  # the others go on; this one is asked again next time
            log.warning("refund_not_finished", refund_order=order.id, reason=reason.code)
    return len(left)


def _finish(order: RefundOrder) -> None:
    if order.created_at > clock.now() - REPEATABLE:
        _carry_out(order)
        return
    # What became of it is known by its webhook alone; to ask once more could give twice.
    order.state = "failed"
    db.session.commit()
    log.error("refund_given_up", refund_order=order.id, payment=order.payment_intent, amount=order.amount)


def _carry_out(order: RefundOrder) -> None:
    params = {
        "payment_intent": order.payment_intent,
        "amount": order.amount,
        "metadata": {"portal_mode": order.mode, "refund_order": str(order.id)},
    }
    try:
        made = claims.call(order, lambda key: gateway.of(order.mode).create_refund(params, key))
    except StripeRefused as refused:
        order.state = "failed"
        db.session.commit()
        raise _refused() from refused
    order.state, order.stripe_id = "done", made.id
    db.session.commit()
    log.info("refund_ordered", payment=order.payment_intent, amount=order.amount, refund=made.id)


def _claim(payment: Refundable, amount: int, seen: int, nonce: str) -> RefundOrder:
    """The order's row. The index lets one in that is open; what was refunded meanwhile is said.

    What was ordered is read again once the row is in: nobody else can order now, and who was faster has ended.
    """
    if payment.refunded != seen:
        raise _changed()
    if not 0 < amount <= payment.amount - payment.refunded or not nonce:
        left = money.text(payment.amount - payment.refunded, payment.currency)
        raise InvalidInput(f"At most {left} can be given back.", errors={"amount": f"at most {left}"})
    order = RefundOrder(
        mode=payment.mode,
        customer_id=payment.customer_id,
        payment_intent=payment.payment_intent,
        amount=amount,
        currency=payment.currency,
        nonce=nonce,
        created_at=clock.now(),
    )
    db.session.add(order)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise Conflict("Somebody else is refunding this payment right now. Look again in a moment.") from None
    if _ordered(payment.payment_intent) != payment.ordered:
        db.session.rollback()
        raise _changed()
    db.session.commit()
    return order


def _changed() -> Conflict:
    return Conflict("A part of this was refunded since the page was opened. Look again before you give more.")


def _refused() -> Conflict:
    words = "Stripe did not accept this refund: the payment may be refunded, disputed or too old."
    return Conflict(words, money="Nothing was given back.")


def _by_nonce(nonce: str, payment: Refundable, amount: int) -> RefundOrder | None:
    """What this form ordered already. Raises Conflict where that was something else."""
    found = db.session.execute(select(RefundOrder).filter_by(nonce=nonce)).scalar_one_or_none()
    db.session.commit()
    if found and (found.payment_intent, found.amount) != (payment.payment_intent, amount):
        raise Conflict("This form was sent before, with another amount. Look at what became of it.")
    return found


def _ordered(payment_intent: str) -> int:
    """How much we have ordered back, which Stripe may not have told of yet."""
    query = select(func.coalesce(func.sum(RefundOrder.amount), 0)).filter_by(payment_intent=payment_intent)
    return int(db.session.execute(query.where(RefundOrder.state == "done")).scalar_one())
