"""Refunds of payments, from the page of a customer."""

import secrets
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import BindParameter, Select, bindparam, select

from portal import audit, money
from portal.admin import find_users
from portal.admin.forms import RefundForm
from portal.admin.paging import LONGEST_ID
from portal.admin.permissions import sensitive
from portal.billing import cancellation
from portal.errors import InvalidInput, NotFound, PortalError
from portal.extensions import db
from portal.models import CreditEntry, Customer, Invoice, Payment, PaymentStatus, User
from portal.payments import refunds, status
from portal.payments.refunds import Refundable

blueprint = Blueprint("admin_refunds", __name__)

# The kinds of history rows that show what was paid; for credits it is the ledger's entry.
NUMBER: BindParameter[int] = bindparam("number")
OF_ENTRY = select(CreditEntry.order_id).where(CreditEntry.id == NUMBER, CreditEntry.reason == "purchase")
PAID: dict[str, Select[Any]] = {
    "payment": select(Payment).where(Payment.id == NUMBER),
    "invoice": select(Invoice).where(Invoice.id == NUMBER),
    "purchase": select(Payment).where(Payment.status == PaymentStatus.SUCCEEDED, Payment.order_id.in_(OF_ENTRY)),
}


@blueprint.post("/customers/<int:user_id>/refund")
@sensitive
def refund(user_id: int) -> ResponseReturnValue:
    """Refund a payment, fully or partly. The ledger follows by webhook."""
    user, form = find_users.by_id(user_id), RefundForm()
    payment = _refundable(user)
    amount = form.minor_units(payment) if form.validate_on_submit() else None
    if amount is None:
        return _refund_page(user, payment, form), 400
    facts = {"amount": amount, "currency": payment.currency}
    audit.record("refund.asked", customer_id=payment.customer_id, subject=payment.payment_intent, after=facts)
    db.session.commit()
    try:
        refunds.issue(payment, amount, _seen(), request.form.get("nonce", ""))
    except InvalidInput as refused:
        form.amount.errors = [refused.detail]
        return _refund_page(user, payment, form), 400
    flash(
        f"{money.text(amount, payment.currency)} go back. What follows is done when Stripe tells of it.",
        "positive",
    )
    if form.end.data:
        _end_subscription(payment)
    return redirect(url_for("admin_customers.show", user_id=user_id), 303)


def _end_subscription(payment: Refundable) -> None:
    """Cancel the subscription after the refund. If that fails, the refund stays, and the page says so."""
    subscription = cancellation.refunded_with(payment.mode, payment.invoice_id)
    if subscription is None:
        flash("The subscription has ended already.", "warning")
        return
    audit.record("subscription.end_asked", customer_id=subscription.customer_id, subject=subscription.stripe_id)
    db.session.commit()
    try:
        cancellation.end(subscription)
    except PortalError as reason:
        db.session.rollback()
        flash(f"The refund was made, but the subscription was not ended. {reason.detail}", "negative")
        return
    flash("The subscription has ended.", "positive")


@blueprint.get("/customers/<int:user_id>/refund")
@sensitive
def confirm_refund(user_id: int) -> ResponseReturnValue:
    """Ask how much of a payment to refund."""
    user = find_users.by_id(user_id)
    payment = _refundable(user)
    left = money.major(payment.left, payment.currency)
    return _refund_page(user, payment, RefundForm(formdata=None, amount=str(left)))


def _refund_page(user: User, payment: Refundable, form: RefundForm) -> str:
    form.amount.label.text = f"Amount in {payment.currency.upper()}"
    return render_template(
        "admin/refund.html",
        user=user,
        payment=payment,
        form=form,
        left=payment.left,
        ends=cancellation.refunded_with(payment.mode, payment.invoice_id),
        parts=status.parts(payment.mode, payment.invoice_id),
        nonce=secrets.token_urlsafe(16),
        mode=payment.mode,
    )


def _refundable(user: User) -> Refundable:
    """Return the payment that the URL names by a row of the history. Raises NotFound for another user's."""
    asked = {name: number for name in PAID if (number := _number(request.values.get(name, ""))) is not None}
    row: Payment | Invoice | None = None
    for name, number in asked.items():
        row = db.session.execute(PAID[name], {"number": number}).scalars().first()
    if row is None or db.session.get_one(Customer, row.customer_id).user_id != user.id:
        raise NotFound("There is no such payment.")
    return refunds.refundable_of_payment(row) if isinstance(row, Payment) else refunds.refundable_of_invoice(row)


def _seen() -> int:
    """Return the refunded amount when the form was shown. A form without it never matches."""
    seen = _number(request.form.get("seen", ""))
    return -1 if seen is None else seen


def _number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) <= LONGEST_ID else None
