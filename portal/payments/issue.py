"""Issuing refunds: an order for each, so that two at once refund once. What follows comes by webhook."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Select, exists, func, select
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, gateway, money
from portal.errors import Conflict, InvalidInput, NotFound, PortalError, StripeRefused
from portal.extensions import db
from portal.models import Invoice, Payment, Purchase, RefundOrder, Reversal
from portal.payments import sync
from portal.payments.takes import sources
from portal.purchases import claims, open_calls, tickets

log = structlog.get_logger()

REFUNDABLE = ("pi_", "ch_", "py_")  # what Stripe refunds: payment intents, and charges without one
LEFT_AFTER = timedelta(minutes=1)  # an open order this old belongs to no request any more


@dataclass(frozen=True)
class Refundable:
    """A payment at Stripe, and how much of it was given back already; minor units of `currency`.

    `payment_intent` may be a charge's id. `ordered` is the part that was ordered here and that Stripe has not told
    of yet. `invoice_id` is Stripe's id of the invoice that it paid; None for an order.
    """

    customer_id: int
    mode: str
    payment_intent: str
    amount: int
    refunded: int
    ordered: int
    disputed: int
    currency: str
    kind: str
    invoice_id: str | None

    @property
    def left(self) -> int:
        """How much can still be given back."""
        return self.amount - self.refunded


def of_payment(payment: Payment) -> Refundable:
    """What is left of a payment, as Stripe says now. Raises NotFound for one made outside of Stripe. Commits."""
    sync.sync_payment(payment)
    if not payment.stripe_id.startswith(REFUNDABLE):
        raise NotFound("This was paid outside of Stripe, so it has to be given back there.")
    ordered = _ordered(payment.stripe_id)
    return Refundable(
        customer_id=payment.customer_id,
        mode=payment.mode,
        payment_intent=payment.stripe_id,
        amount=payment.amount,
        refunded=payment.amount_refunded + ordered,
        ordered=ordered,
        disputed=payment.amount_disputed,
        currency=payment.currency,
        kind=payment.kind,
        invoice_id=payment.invoice_id,
    )


def of_invoice(invoice: Invoice) -> Refundable:
    """What paid an invoice; the newest payment of which something is left. Raises NotFound. Commits."""
    paid = select(Payment).filter_by(mode=invoice.mode, invoice_id=invoice.stripe_id, status="succeeded")
    return _of_any(paid, invoice.mode, "invoice", invoice.stripe_id if invoice.amount_paid else None)


def of_purchase(purchase: Purchase) -> Refundable:
    """What paid an order: its own payment, or its subscription's first invoice. Raises NotFound. Commits."""
    if purchase.subscription_id:
        query = select(Invoice).filter_by(mode=purchase.mode, subscription_id=purchase.subscription_id)
        query = query.where(Invoice.customer_id == purchase.customer_id, Invoice.amount_paid > 0)
        invoice = db.session.execute(query.order_by(Invoice.id)).scalars().first()
        if invoice is not None:
            return of_invoice(invoice)
    paid = select(Payment).filter_by(purchase_id=purchase.id, status="succeeded")
    known = purchase.payment_intent if purchase.paid_at else None
    return _of_any(paid, purchase.mode, "order", known if purchase.subscription_id is None else None)


def _of_any(query: Select[Payment], mode: str, source: str, stripe_id: str | None) -> Refundable:
    """The first of these payments of which something is left; asked of Stripe where none is known."""
    newest_first = query.order_by(Payment.created_at.desc(), Payment.id.desc())
    found = db.session.execute(newest_first).scalars().all()
    db.session.commit()
    if not found and stripe_id:
        snapshot = sources[source].read(mode, stripe_id)
        tickets.hold(snapshot)
        sources[source].apply(snapshot)
        db.session.commit()
        found = db.session.execute(newest_first).scalars().all()
    if not found:
        raise NotFound("Nothing was paid here that could be given back.")
    payments = [of_payment(one) for one in found]
    return next((one for one in payments if one.left), payments[0])


def refund(payment: Refundable, amount: int, seen: int, nonce: str) -> RefundOrder:
    """Give so much back; `seen` is how much was refunded when the form was shown. Commits as it goes.

    The same form again is the same refund. Raises Conflict where somebody was faster, or Stripe says no;
    InvalidInput for more than is left; StripeUnavailable, after which `run` repeats the same call.
    """
    order = _by_nonce(nonce, payment, amount) or _claim(payment, amount, seen, nonce)
    if order.state == "failed":
        raise _refused()
    if order.state == "open":
        resume(order)
    if order.state == "unclear":
        raise _undecided()
    return order


def run() -> int:
    """The tick's chore: go on with what a crash left open; gives how many. Commits.

    Calls that got no answer, or one that leaves their effect open, are looked after by `open_calls`.
    """
    query = select(RefundOrder).filter_by(state="open").where(RefundOrder.created_at < clock.now() - LEFT_AFTER)
    left = [order for order in db.session.execute(query).scalars().all() if claims.open_call(order) is None]
    db.session.commit()
    for order in left:
        try:
            resume(order)
        except PortalError as reason:  # the others go on; this one is asked again next time
            log.warning("refund_not_finished", refund_order=order.id, reason=reason.code)
    return len(left)


def resume(order: RefundOrder) -> None:
    """Call and confirm, from the row alone; nothing where it has ended. Commits.

    Raises Conflict, StripeUnavailable.
    """
    if order.state not in ("open", "unclear"):
        claims.close(order)
        return
    kind = "payment_intent" if order.payment_intent.startswith("pi_") else "charge"
    params = {
        kind: order.payment_intent,
        "amount": order.amount,
        "metadata": {"portal_mode": order.mode, "refund_order": str(order.id)},
    }
    lane = gateway.of(order.mode)
    try:
        made = claims.call(
            order,
            lambda key: lane.create_refund(params, key),
            find=lambda named: _at_stripe(order, named),
            money=True,
        )
    except StripeRefused as refused:
        _move(order, "failed")
        db.session.commit()
        raise _refused() from refused
    order.stripe_id = made.id
    _move(order, "done")
    db.session.commit()
    log.info("refund_ordered", payment=order.payment_intent, amount=order.amount, refund=made.id)


def _at_stripe(order: RefundOrder, named: str) -> gateway.Reversal | None:
    """The refund that this order made: by our metadata, or the one that a person named, if it fits."""
    found = gateway.of(order.mode).refunds(order.payment_intent)
    if named:
        return next((one for one in found if (one.id, one.amount) == (named, order.amount)), None)
    return next((one for one in found if one.metadata.get("refund_order") == str(order.id)), None)


def _move(order: RefundOrder, state: str) -> None:
    """Bring an order to another state, and write the audit entry. Flushes."""
    before, order.state = order.state, state
    if state != before:
        audit.record(
            f"refund.{state}",
            customer_id=order.customer_id,
            subject=order.payment_intent,
            before={"state": before},
            after={"state": state, "amount": order.amount, "currency": order.currency},
        )


KIND = open_calls.Kind(
    resume=resume,
    give_up=lambda order: _move(order, "unclear"),
    reopen=lambda order: _move(order, "open"),
    words=lambda order: f"Refund {money.text(order.amount, order.currency)} of {order.payment_intent}",
)


def _claim(payment: Refundable, amount: int, seen: int, nonce: str) -> RefundOrder:
    """The order's row. The index lets one in that is open; what was refunded meanwhile is said.

    What was ordered is read again once the row is in: nobody else can order now, and who was faster has ended.
    """
    if payment.refunded != seen:
        raise _changed()
    if not 0 < amount <= payment.left or not nonce:
        left = money.text(payment.left, payment.currency)
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
    words = "A part of this was refunded since the page was opened. Look again before you give more."
    return Conflict(words, money="Nothing was given back by this.")


def _undecided() -> Conflict:
    words = "Nobody knows yet whether this refund was made. Decide about it on the overview."
    return Conflict(words, money="Nothing was given back just now.")


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
    """How much was ordered back here that Stripe has not told of yet."""
    told = exists().where(Reversal.mode == RefundOrder.mode, Reversal.stripe_id == RefundOrder.stripe_id)
    query = select(func.coalesce(func.sum(RefundOrder.amount), 0)).filter_by(payment_intent=payment_intent)
    return int(db.session.execute(query.where(RefundOrder.state == "done", ~told)).scalar_one())
