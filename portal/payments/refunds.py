"""Issuing refunds: a request is written first, so that two concurrent submissions refund once.

The consequences follow by webhook.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Select, exists, func, select
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, gateway, money
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, NotFound, PortalError, StripeRefused
from portal.extensions import db
from portal.models import Invoice, OpenCall, Order, Payment, PaymentStatus, RefundRequest, Reversal
from portal.payments import reversal_sync
from portal.payments.reversal_effects import sources
from portal.sync import idempotency, open_calls, versions

log = structlog.get_logger()

REFUNDABLE = ("pi_", "ch_", "py_")  # what Stripe can refund: payment intents, and charges without one
LEFT_AFTER = timedelta(minutes=1)  # an open request this old belongs to no running HTTP request
AT_ONCE = 200


@dataclass(frozen=True)
class Refundable:
    """A payment at Stripe, and how much of it was refunded already, in minor units of `currency`.

    `payment_id` is our row's. `payment_intent` may be a charge's id. `ordered` is the part requested here that
    Stripe has not reported yet. `invoice_id` is Stripe's id of the invoice that it paid; None for an order.
    """

    payment_id: int
    customer_id: int
    mode: Mode
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
        """Return how much can still be refunded."""
        return self.amount - self.refunded


def refundable_of_payment(payment: Payment) -> Refundable:
    """Return what is left of a payment, according to Stripe. Raises NotFound for one made outside of Stripe.
    Commits.
    """
    reversal_sync.sync_payment(payment)
    if not payment.stripe_id.startswith(REFUNDABLE):
        raise NotFound("This was paid outside of Stripe, so it has to be given back there.")
    ordered = _ordered(payment.stripe_id)
    return Refundable(
        payment_id=payment.id,
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


def refundable_of_invoice(invoice: Invoice) -> Refundable:
    """Return the newest payment of an invoice that can still be refunded. Raises NotFound. Commits."""
    paid = select(Payment).filter_by(
        mode=invoice.mode, invoice_id=invoice.stripe_id, status=PaymentStatus.SUCCEEDED
    )
    return _of_any(paid, invoice.mode, "invoice", invoice.stripe_id if invoice.amount_paid else None)


def refundable_of_order(order: Order) -> Refundable:
    """Return the payment of an order: its own, or that of its subscription's first invoice. Raises NotFound.
    Commits.
    """
    if order.subscription_id:
        query = select(Invoice).filter_by(mode=order.mode, subscription_id=order.subscription_id)
        query = query.where(Invoice.customer_id == order.customer_id, Invoice.amount_paid > 0)
        invoice = db.session.execute(query.order_by(Invoice.id)).scalars().first()
        if invoice is not None:
            return refundable_of_invoice(invoice)
    paid = select(Payment).filter_by(order_id=order.id, status=PaymentStatus.SUCCEEDED)
    known = order.payment_intent if order.paid_at else None
    return _of_any(paid, order.mode, "order", known if order.subscription_id is None else None)


def _of_any(query: Select[Payment], mode: Mode, source: str, stripe_id: str | None) -> Refundable:
    """Return the first of these payments that can still be refunded. If none is known, Stripe is asked."""
    newest_first = query.order_by(Payment.created_at.desc(), Payment.id.desc())
    found = db.session.execute(newest_first).scalars().all()
    db.session.commit()
    if not found and stripe_id:
        snapshot = sources[source].read(mode, stripe_id)
        versions.hold(snapshot)
        sources[source].apply(snapshot)
        db.session.commit()
        found = db.session.execute(newest_first).scalars().all()
    if not found:
        raise NotFound("Nothing was paid here that could be given back.")
    payments = [refundable_of_payment(one) for one in found]
    return next((one for one in payments if one.left), payments[0])


def issue(payment: Refundable, amount: int, seen: int, nonce: str) -> RefundRequest:
    """Refund an amount. `seen` is the refunded amount when the form was shown. Commits several times.

    Submitting the same form again returns the same refund. Raises Conflict if another refund came first or Stripe
    refuses; InvalidInput for more than is left; StripeUnavailable, after which `run` repeats the same call.
    """
    refund = _by_nonce(nonce, payment, amount) or _claim(payment, amount, seen, nonce)
    if refund.state == "failed":
        raise _refused()
    if refund.state == "open":
        resume(refund)
    if refund.state == "unclear":
        raise _undecided()
    return refund


def run() -> int:
    """Scheduled task: resume requests that a crash left open, and return how many. Commits.

    `open_calls` resumes calls that got no response, or one that leaves their effect unknown.
    """
    looked_after = exists().where(
        OpenCall.claim == idempotency.WORDS[RefundRequest],
        OpenCall.claim_id == RefundRequest.id,
        OpenCall.settled_at.is_(None),
    )
    query = select(RefundRequest).where(
        RefundRequest.state == "open", RefundRequest.created_at < clock.now() - LEFT_AFTER, ~looked_after
    )
    left = db.session.execute(query.order_by(RefundRequest.created_at).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    for refund in left:
        try:
            resume(refund)
        except PortalError as reason:  # the others continue; this one is retried at the next run
            log.warning("refund_not_finished", refund_order=refund.id, reason=reason.code)
    return len(left)


def resume(refund: RefundRequest) -> None:
    """Call and confirm, from the row alone. Does nothing if the request has ended. Commits.

    Raises Conflict, StripeUnavailable.
    """
    if refund.state not in ("open", "unclear"):
        idempotency.close(refund)
        return
    kind = "payment_intent" if refund.payment_intent.startswith("pi_") else "charge"
    params = {
        kind: refund.payment_intent,
        "amount": refund.amount,
        "metadata": {"portal_mode": refund.mode, "refund_order": str(refund.id)},
    }
    lane = gateway.of(refund.mode)
    try:
        made = idempotency.call(
            refund,
            lambda key: lane.create_refund(params, key),
            find=lambda named: _at_stripe(refund, named),
            money=True,
        )
    except StripeRefused as refused:
        _move(refund, "failed")
        db.session.commit()
        raise _refused() from refused
    refund.stripe_id = made.id
    _move(refund, "done")
    db.session.commit()
    log.info("refund_ordered", payment=refund.payment_intent, amount=refund.amount, refund=made.id)


def _at_stripe(refund: RefundRequest, named: str) -> gateway.Reversal | None:
    """Return the refund that this request made, found by our metadata, or the one that an admin named, if it
    matches.
    """
    found = gateway.of(refund.mode).refunds(refund.payment_intent)
    if named:
        return next((one for one in found if (one.id, one.amount) == (named, refund.amount)), None)
    return next((one for one in found if one.metadata.get("refund_order") == str(refund.id)), None)


def _move(refund: RefundRequest, state: str) -> None:
    """Change a request's state, and write the audit entry. Flushes."""
    before, refund.state = refund.state, state
    if state != before:
        audit.record(
            f"refund.{state}",
            customer_id=refund.customer_id,
            subject=refund.payment_intent,
            before={"state": before},
            after={"state": state, "amount": refund.amount, "currency": refund.currency},
        )


KIND = open_calls.Kind(
    resume=resume,
    give_up=lambda refund: _move(refund, "unclear"),
    reopen=lambda refund: _move(refund, "open"),
    words=lambda refund: f"Refund {money.text(refund.amount, refund.currency)} of {refund.payment_intent}",
)


def _claim(payment: Refundable, amount: int, seen: int, nonce: str) -> RefundRequest:
    """Write the request's row. A unique index allows one open request, and the error says what was refunded
    meanwhile.

    The requested amount is read again once the row is written: no other request can be made now, and any earlier
    one has ended.
    """
    if payment.refunded != seen:
        raise _changed()
    if not 0 < amount <= payment.left or not nonce:
        left = money.text(payment.left, payment.currency)
        raise InvalidInput(f"At most {left} can be given back.", errors={"amount": f"at most {left}"})
    refund = RefundRequest(
        mode=payment.mode,
        customer_id=payment.customer_id,
        payment_intent=payment.payment_intent,
        amount=amount,
        currency=payment.currency,
        nonce=nonce,
        created_at=clock.now(),
    )
    db.session.add(refund)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise Conflict("Somebody else is refunding this payment right now. Look again in a moment.") from None
    if _ordered(payment.payment_intent) != payment.ordered:
        db.session.rollback()
        raise _changed()
    db.session.commit()
    return refund


def _changed() -> Conflict:
    words = "A part of this was refunded since the page was opened. Look again before you give more."
    return Conflict(words, money="Nothing was given back by this.")


def _undecided() -> Conflict:
    words = "Nobody knows yet whether this refund was made. Decide about it on the overview."
    return Conflict(words, money="Nothing was given back just now.")


def _refused() -> Conflict:
    words = "Stripe did not accept this refund: the payment may be refunded, disputed or too old."
    return Conflict(words, money="Nothing was given back.")


def _by_nonce(nonce: str, payment: Refundable, amount: int) -> RefundRequest | None:
    """Return the request that this form made already. Raises Conflict if it was for something else."""
    found = db.session.execute(select(RefundRequest).filter_by(nonce=nonce)).scalar_one_or_none()
    db.session.commit()
    if found and (found.payment_intent, found.amount) != (payment.payment_intent, amount):
        raise Conflict("This form was sent before, with another amount. Look at what became of it.")
    return found


def _ordered(payment_intent: str) -> int:
    """Return the amount requested here that Stripe has not reported yet."""
    told = exists().where(Reversal.mode == RefundRequest.mode, Reversal.stripe_id == RefundRequest.stripe_id)
    query = select(func.coalesce(func.sum(RefundRequest.amount), 0)).filter_by(payment_intent=payment_intent)
    return int(db.session.execute(query.where(RefundRequest.state == "done", ~told)).scalar_one())
