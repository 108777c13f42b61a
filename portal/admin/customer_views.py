"""Customers: finding them, seeing everything of them in both modes, and acting on it."""

import secrets
from datetime import UTC, datetime, time, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import BindParameter, Select, bindparam, select

from portal import access, audit, clock, gateway, money
from portal.accounts import sessions
from portal.admin import customers, people
from portal.admin.forms import LONGEST, GraceForm, GrantForm, RefundForm, SearchForm, VoidForm
from portal.admin.guard import sensitive
from portal.admin.paging import LONGEST_ID, before
from portal.billing import cancelling, resyncing
from portal.credits import grants
from portal.customers import suspensions
from portal.errors import Conflict, InvalidInput, NotFound, PortalError
from portal.extensions import db, limiter
from portal.keys import minting
from portal.models import ApiKey, CreditEntry, Customer, Invoice, Payment, User
from portal.models.suspension import SuspensionReason
from portal.payments import issue
from portal.payments.issue import Refundable
from portal.purchases import customers as at_stripe
from portal.usage import quantities, voids

blueprint = Blueprint("admin_customers", __name__)

# What was paid, by the kinds of the history's rows that tell of it: of bought credits the ledger's entry does.
NUMBER: BindParameter[int] = bindparam("number")
OF_ENTRY = select(CreditEntry.purchase_id).where(CreditEntry.id == NUMBER, CreditEntry.reason == "purchase")
PAID: dict[str, Select[Any]] = {
    "payment": select(Payment).where(Payment.id == NUMBER),
    "invoice": select(Invoice).where(Invoice.id == NUMBER),
    "purchase": select(Payment).where(Payment.status == "succeeded", Payment.purchase_id.in_(OF_ENTRY)),
}


@blueprint.get("/customers")
def index() -> ResponseReturnValue:
    """Users, the newest first, or those that fit."""
    form = SearchForm(request.args)
    found, onward = people.page(form.q.data or "", before()) if form.validate() else ([], None)
    words = form.q.data or ""
    return render_template(
        "admin/customers.html",
        form=form,
        users=found,
        onward=onward,
        before=before(),
        chosen={"q": words} if words else {},
    )


@blueprint.post("/customers")
def search() -> ResponseReturnValue:
    """The same with the words in its address, but for secrets: somebody may paste a whole API key."""
    return redirect(url_for(".index", q=people.presentable(request.form.get("q", "")[:LONGEST])), 303)


@blueprint.get("/customers/<int:user_id>")
def show(user_id: int) -> ResponseReturnValue:
    """Everything about one user, in both modes."""
    return _page(people.by_id(user_id))


@blueprint.post("/customers/<int:user_id>/credits")
@sensitive
def grant(user_id: int) -> ResponseReturnValue:
    """Give credits until a day; the same form twice gives them once."""
    user, form = people.still_here(user_id), GrantForm()
    if not form.validate_on_submit():
        return _page(user, grant=form), 400
    until = datetime.combine(form.expires.data + timedelta(days=1), time(), UTC)
    customer = at_stripe.of(user, form.mode.data)
    try:
        given = grants.give(
            customer.id, form.credits.data, until, f"admin:{form.nonce.data}", form.note.data or ""
        )
    except InvalidInput as refused:
        db.session.rollback()
        form.credits.errors = [refused.detail]
        return _page(user, grant=form), 400
    db.session.commit()
    flash(f"{given.amount:,} credits were given.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/grace")
@sensitive
def extend_grace(user_id: int) -> ResponseReturnValue:
    """Let an unpaid plan stay until a day, at least."""
    user, form = people.still_here(user_id), GraceForm()
    if not form.validate_on_submit():
        return _page(user, grace=form), 400
    customer = _customer(user, form.grace_mode.data)
    if not form.fits(clock.now(customer.clock_at)):
        return _page(user, grace=form), 400
    until = datetime.combine(form.until.data + timedelta(days=1), time(), UTC)
    was, customer.grace_until = customer.grace_until, until
    access.changed(customer.id)
    facts: dict[str, Any] = {"before": {"until": was and was.isoformat()}, "after": {"until": until.isoformat()}}
    audit.record("grace.extended", customer_id=customer.id, **facts)
    db.session.commit()
    flash("The plan stays until the end of that day, paid or not.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/usage/void")
@sensitive
def void_usage(user_id: int) -> ResponseReturnValue:
    """Take back usage that was counted by mistake; both entries stay."""
    user, form = people.by_id(user_id), VoidForm()
    if not form.validate_on_submit():
        return _page(user, void=form), 400
    customer = _customer(user, form.void_mode.data)
    try:
        done = voids.void(customer.id, form.identifier.data, form.reason.data)
    except (NotFound, Conflict) as refused:
        db.session.rollback()
        form.identifier.errors = [refused.detail]
        return _page(user, void=form), refused.status
    db.session.commit()
    taken = f"{done.meter} {quantities.text(done.quantity)}"
    flash(f"{taken} was taken off {done.month.words}." if done.is_new else "That was voided before.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/suspend")
@sensitive
def suspend(user_id: int) -> ResponseReturnValue:
    """Let keys answer 402 until an admin lifts it."""
    customer = _customer(people.by_id(user_id), request.form.get("mode", ""))
    if not suspensions.add(customer.id, SuspensionReason.ADMIN, f"user {user_id}"):
        raise Conflict("An admin has suspended this customer already.")
    db.session.commit()
    flash("The customer is suspended: keys answer 402.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/reactivate")
@sensitive
def reactivate(user_id: int) -> ResponseReturnValue:
    """Lift the suspension that an admin or a dispute caused; the other reasons end by themselves."""
    customer = _customer(people.by_id(user_id), request.form.get("mode", ""))
    mine = [reason for reason in SuspensionReason if reason.is_lifted_by_admin]
    if not suspensions.lift(customer.id, *mine, about=f"user {user_id}"):
        raise Conflict("There is no suspension that an admin lifts.")
    db.session.commit()
    db.session.refresh(customer)
    if customer.suspended_at:
        flash("Lifted. The customer stays suspended for another reason, which stands below.", "warning")
    else:
        flash("The customer's API keys answer again.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/keys/<int:key_id>/revoke")
@sensitive
def revoke(user_id: int, key_id: int) -> ResponseReturnValue:
    """End a key at once."""
    key = db.session.get(ApiKey, key_id)
    if key is None or key.customer.user_id != user_id:
        raise NotFound("There is no such key.")
    minting.revoke(key)
    db.session.commit()
    flash(f"The key {key.prefix}… is revoked.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/resync")
@limiter.limit("20/minute")
def resync(user_id: int) -> ResponseReturnValue:
    """Bring everything to where Stripe is."""
    customer = _customer(people.by_id(user_id), request.form.get("mode", ""))
    audit.record("customer.resynced", customer_id=customer.id)
    db.session.commit()
    done = resyncing.resync(customer)
    flash(f"{done} objects were read from Stripe; what differed is as Stripe has it now.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/refund")
@sensitive
def refund(user_id: int) -> ResponseReturnValue:
    """Give a payment back, whole or in part. The ledger follows by webhook."""
    user, form = people.by_id(user_id), RefundForm()
    payment = _refundable(user)
    amount = form.minor_units(payment) if form.validate_on_submit() else None
    if amount is None:
        return _refund_page(user, payment, form), 400
    facts = {"amount": amount, "currency": payment.currency}
    audit.record("refund.asked", customer_id=payment.customer_id, subject=payment.payment_intent, after=facts)
    db.session.commit()
    try:
        issue.refund(payment, amount, _seen(), request.form.get("nonce", ""))
    except InvalidInput as refused:
        form.amount.errors = [refused.detail]
        return _refund_page(user, payment, form), 400
    flash(
        f"{money.text(amount, payment.currency)} go back. What follows is done when Stripe tells of it.",
        "positive",
    )
    if form.end.data:
        _end_subscription(payment)
    return _back(user_id)


def _end_subscription(payment: Refundable) -> None:
    """The second step of a refund. Where it fails, the refund stands, and the page says so."""
    subscription = cancelling.refunded_with(payment.mode, payment.invoice_id)
    if subscription is None:
        flash("The subscription has ended already.", "warning")
        return
    audit.record("subscription.end_asked", customer_id=subscription.customer_id, subject=subscription.stripe_id)
    db.session.commit()
    try:
        cancelling.end(subscription)
    except PortalError as reason:
        db.session.rollback()
        flash(f"The refund was made, but the subscription was not ended. {reason.detail}", "negative")
        return
    flash("The subscription has ended.", "positive")


@blueprint.get("/customers/<int:user_id>/refund")
@sensitive
def confirm_refund(user_id: int) -> ResponseReturnValue:
    """Ask how much of a payment goes back."""
    user = people.by_id(user_id)
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
        ends=cancelling.refunded_with(payment.mode, payment.invoice_id),
        fields={name: request.values[name] for name in PAID if name in request.values},
        nonce=secrets.token_urlsafe(16),
        mode=payment.mode,
    )


def _refundable(user: User) -> Refundable:
    """The payment that the address names, by a row of the history. Raises NotFound for anybody else's."""
    asked = {name: number for name in PAID if (number := _number(request.values.get(name, ""))) is not None}
    row: Payment | Invoice | None = None
    for name, number in asked.items():
        row = db.session.execute(PAID[name], {"number": number}).scalars().first()
    if row is None or db.session.get_one(Customer, row.customer_id).user_id != user.id:
        raise NotFound("There is no such payment.")
    return issue.of_payment(row) if isinstance(row, Payment) else issue.of_invoice(row)


def _seen() -> int:
    """How much was refunded when the form was shown; a form without it fits nothing."""
    seen = _number(request.form.get("seen", ""))
    return -1 if seen is None else seen


def _number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) <= LONGEST_ID else None


def _customer(user: User, mode: str) -> Customer:
    """The user's customer in this mode. Raises NotFound where there is none."""
    found = at_stripe.find(user, mode) if mode in gateway.MODES else None
    if found is None:
        raise NotFound("This user has nothing in that mode.")
    return found


def _back(user_id: int) -> ResponseReturnValue:
    return redirect(url_for(".show", user_id=user_id), 303)


def _page(user: User, **forms: Any) -> str:
    empty = {"grant": GrantForm, "grace": GraceForm, "void": VoidForm}
    shown = {name: form(formdata=None) for name, form in empty.items()} | forms
    return render_template(
        "admin/customer.html",
        user=user,
        sides=customers.sides(user),
        may_act=current_user.is_admin and sessions.recent_password(current_user.session),
        now=clock.now(),
        **shown,
    )
