"""Making the invoices of paid orders: a draft with the order's lines, finalized, with the payment attached to it.

https://docs.stripe.com/api/invoices/attach_payment
"""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select, update

from portal import audit, clock, gateway
from portal.errors import PortalError, StripeRefused, StripeUnavailable
from portal.extensions import db, rows_changed
from portal.models import InvoiceStatus, Order, OrderInvoice, Payment
from portal.orders.documents.claims import STAMP
from portal.sync import idempotency, locks

log = structlog.get_logger()

AT_ONCE = 20
FIRST_WAIT = timedelta(minutes=1)  # doubled by each try
MOST_TRIES = 12  # the last one after almost three days
SKEW = timedelta(hours=1)  # for differences between clocks


class NotPossible(PortalError):
    """The invoice cannot be made, now (`is_final` False) or ever. The order and its payment stay as they are."""

    code = "order_invoice_not_possible"

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(f"No invoice can be made: {reason}.")
        self.reason, self.is_final = reason, is_final


def run() -> int:
    """Scheduled task: make the invoices that are due, and return how many were made. Commits after each.

    Safe to run concurrently: of two processes one takes a claim. A failure delays the document; the order is paid.
    """
    due = select(OrderInvoice.id).where(OrderInvoice.state == "open", OrderInvoice.next_at <= clock.now())
    found = db.session.execute(due.order_by(OrderInvoice.next_at).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    return sum(_make(claim_id) for claim_id in found)


def _make(claim_id: int) -> bool:
    claim = _taken(claim_id)
    if claim is None:
        return False
    try:
        invoice = _at_stripe(claim)
    except (PortalError, LookupError) as error:
        db.session.rollback()
        _postpone(claim_id, error)
        return False
    _confirm(claim, invoice)
    return True


def _taken(claim_id: int) -> OrderInvoice | None:
    """Return a due claim that no other process works on, and set when it is tried next. Commits."""
    tries = db.session.execute(select(OrderInvoice.tries).filter_by(id=claim_id)).scalar_one()
    again = clock.now() + FIRST_WAIT * (1 << tries)
    take = update(OrderInvoice).filter_by(id=claim_id, state="open", tries=tries)
    is_mine = rows_changed(take.values(tries=tries + 1, next_at=again))
    db.session.commit()
    claim = db.session.get(OrderInvoice, claim_id, populate_existing=True) if is_mine else None
    db.session.commit()
    return claim


def _postpone(claim_id: int, error: Exception) -> None:
    """Record why it was not made; after the last try, or if it can never be made, it has failed. Commits."""
    claim = db.session.get_one(OrderInvoice, claim_id, populate_existing=True)
    reason = getattr(error, "stripe_code", "") or getattr(error, "reason", "") or type(error).__name__
    is_over = claim.tries >= MOST_TRIES or getattr(error, "is_final", False)
    claim.error, claim.state = reason[:100], "failed" if is_over else "open"
    order_id = claim.order_id
    db.session.commit()
    say = log.error if is_over else log.warning
    say("order_invoice_failed" if is_over else "order_invoice_postponed", order=order_id, reason=reason)


def _confirm(claim: OrderInvoice, invoice: gateway.Invoice) -> None:
    """Store the document with the order's payment. Commits."""
    owner = select(OrderInvoice.customer_id).filter_by(id=claim.id)
    locks.lock_owner(lambda: db.session.execute(owner).scalar_one())
    db.session.refresh(claim)
    paid = update(Payment).filter_by(order_id=claim.order_id)
    db.session.execute(paid.values(document_url=invoice.hosted_url))
    claim.state, claim.invoice_id, claim.error = "done", invoice.id, None
    order = db.session.get_one(Order, claim.order_id)
    after = {"invoice": invoice.id, "number": invoice.number}
    audit.record(
        "purchase.invoiced",
        customer_id=claim.customer_id,
        subject=order.number,
        after=after,
        key=f"purchase.invoiced:{order.number}",
    )
    db.session.commit()
    log.info("order_invoiced", order=order.number, invoice=invoice.id)


def _at_stripe(claim: OrderInvoice) -> gateway.Invoice:
    """Take the steps that are left, and return the paid invoice. Commits several times."""
    if not claim.params:
        claim.params = _params(claim)
        db.session.commit()
    invoice = _draft(claim)
    if claim.invoice_id != invoice.id:
        claim.invoice_id = invoice.id
        db.session.commit()
    if invoice.status == InvoiceStatus.DRAFT:
        _require_no_balance(claim)
        _add_lines(claim, invoice.id)
        invoice = _finalized(claim, invoice.id)
    if invoice.status == InvoiceStatus.OPEN:
        invoice = _attached(claim, invoice)
    if invoice.status != InvoiceStatus.PAID:
        raise NotPossible(f"invoice_{invoice.status}", is_final=True)
    return invoice


def _params(claim: OrderInvoice) -> dict[str, Any]:
    """Return the payer, the payment and the lines, as Stripe has them. Commits before each call."""
    order = db.session.get_one(Order, claim.order_id)
    number, name, intent_id, session_id = order.number, order.name, order.payment_intent, order.session_id
    db.session.commit()
    lane = gateway.of(claim.mode)
    if intent_id is None:
        raise NotPossible("no_payment", is_final=True)
    intent = lane.payment_intent(intent_id)
    if intent.customer is None:  # a guest of a Payment Link
        raise NotPossible("no_customer", is_final=True)
    lines = [[name, intent.amount]]
    if session_id is not None:
        session = lane.session(session_id)
        sold = [[name, session.amount_subtotal or 0]]
        if session.payment_link:
            sold = [[line.description, line.amount] for line in lane.session_lines(session_id)]
        lines = _lines(session, sold, intent.amount)
    return {
        "customer": intent.customer,
        "currency": intent.currency,
        "payment_intent": intent.id,
        "amount": intent.amount,
        "order": number,
        "lines": lines,
    }


def _lines(session: gateway.Session, sold: list[list[Any]], paid: int) -> list[list[Any]]:
    """Return what was sold, the discount and the tax that was added. Together they are what was paid."""
    subtotal, less = session.amount_subtotal or 0, session.amount_discount
    added = paid - (subtotal - less)  # a tax that the price includes adds nothing
    lines = [*sold, ["Discount", -less], ["Tax", added]]
    return [line for line in lines if line[1]]


def _draft(claim: OrderInvoice) -> gateway.Invoice:
    """Return the order's invoice: that of an earlier try, else a draft that nobody finalizes or charges."""
    lane, params = gateway.of(claim.mode), claim.params
    if claim.invoice_id is not None:
        return lane.invoice(claim.invoice_id)
    wanted = {
        "customer": params["customer"],
        "currency": params["currency"],
        "auto_advance": False,
        "collection_method": "charge_automatically",
        "pending_invoice_items_behavior": "exclude",
        "discounts": "",  # the customer's own are none of this order
        "description": f"Order {params['order']}, paid",
        "metadata": {"portal_mode": claim.mode, STAMP: params["order"]},
    }
    return idempotency.call(
        claim, lambda key: lane.create_invoice(wanted, key), "draft", find=lambda _named: _found(claim)
    )


def _found(claim: OrderInvoice) -> gateway.Invoice | None:
    """Return the invoice that an earlier call created."""
    made = gateway.of(claim.mode).invoices_since(claim.params["customer"], claim.created_at - SKEW)
    mine = (one for one in made if one.metadata.get(STAMP) == claim.params["order"])
    return next((one for one in mine if one.status != InvoiceStatus.VOID), None)


def _require_no_balance(claim: OrderInvoice) -> None:
    """Wait while the customer has a balance at Stripe, which would pay this invoice a second time."""
    if gateway.of(claim.mode).customer(claim.params["customer"]).balance:
        raise NotPossible("customer_balance", is_final=False)


def _add_lines(claim: OrderInvoice, invoice_id: str) -> None:
    known = {item.metadata.get("line") for item in gateway.of(claim.mode).invoice_items(invoice_id)}
    for number, (words, amount) in enumerate(claim.params["lines"]):
        if str(number) not in known:
            _add_line(claim, invoice_id, str(number), {"description": words, "amount": amount})


def _add_line(claim: OrderInvoice, invoice_id: str, line: str, what: dict[str, Any]) -> None:
    lane, params = gateway.of(claim.mode), claim.params
    item = what | {
        "customer": params["customer"],
        "invoice": invoice_id,
        "currency": params["currency"],
        "discountable": False,
        "metadata": {"line": line},
    }

    def added(_named: str) -> gateway.InvoiceItem | None:
        return next((one for one in lane.invoice_items(invoice_id) if one.metadata.get("line") == line), None)

    idempotency.call(claim, lambda key: lane.create_invoice_item(item, key), f"line-{line}", find=added)


def _finalized(claim: OrderInvoice, invoice_id: str) -> gateway.Invoice:
    """Finalize the draft without charging it, if it is for what was paid."""
    lane = gateway.of(claim.mode)
    if lane.invoice(invoice_id).total != claim.params["amount"]:
        raise NotPossible("total_differs", is_final=True)

    def is_final(_named: str) -> gateway.Invoice | None:
        found = lane.invoice(invoice_id)
        return found if found.status != InvoiceStatus.DRAFT else None

    return idempotency.call(claim, lambda key: lane.finalize_document(invoice_id, key), "final", find=is_final)


def _attached(claim: OrderInvoice, invoice: gateway.Invoice) -> gateway.Invoice:
    """Attach the payment, which pays the invoice. An invoice that it cannot pay is voided: nobody is to pay it."""
    lane, intent = gateway.of(claim.mode), claim.params["payment_intent"]

    def paid(_named: str) -> gateway.Invoice | None:
        found = lane.invoice(invoice.id)
        return found if found.status == InvoiceStatus.PAID else None

    if invoice.amount_due != claim.params["amount"]:
        _void(claim, invoice.id)
        raise NotPossible("amount_due_differs", is_final=True)
    try:
        idempotency.call(claim, lambda key: lane.attach_payment(invoice.id, intent, key), "attach", find=paid)
    except StripeRefused as refused:
        _void(claim, invoice.id)
        raise NotPossible(refused.stripe_code or "not_attached", is_final=True) from refused
    found = paid("")
    if found is None:
        raise StripeUnavailable("Stripe has not booked the payment yet.")
    return found


def _void(claim: OrderInvoice, invoice_id: str) -> None:
    lane = gateway.of(claim.mode)

    def closed(_named: str) -> gateway.Invoice | None:
        found = lane.invoice(invoice_id)
        return found if found.status == InvoiceStatus.VOID else None

    idempotency.call(claim, lambda key: lane.void_invoice(invoice_id, key), "void", find=closed)
