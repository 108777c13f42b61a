"""The pages of test billing: order as any user in test mode, watch the events, and advance time."""

import secrets
from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from portal import audit, mail
from portal.admin import find_users
from portal.admin.forms import LONGEST, PurchaseForm, SearchForm
from portal.admin.permissions import admins_only
from portal.admin.test_billing import orders, signed_events, time_travel, timeline
from portal.admin.test_billing.orders import Choice
from portal.billing import subscriptions
from portal.catalogue import packages, plans
from portal.customers import access
from portal.enums import Mode
from portal.errors import InvalidInput, NotFound, PortalError
from portal.extensions import db, limiter
from portal.models import Customer, Order, OrderState, User
from portal.orders import find
from portal.orders.sessions import ID_PLACEHOLDER
from portal.payments import refunds
from portal.settings import current_settings

blueprint = Blueprint("admin_testing", __name__)

NEWEST = 20
PER_ADMIN = "60/minute"
LONGEST_STEP = 20  # the limit of a form's field, which is logged before it is checked


@blueprint.get("/test-billing")
def index() -> ResponseReturnValue:
    """Choose a user."""
    form = SearchForm(request.args)
    found, _ = find_users.page(form.q.data or "") if form.validate() else ([], None)
    return render_template("admin/testing.html", form=form, users=found, mode=Mode.TEST)


@blueprint.post("/test-billing")
def search() -> ResponseReturnValue:
    """Redirect to the list with the search words in the URL, without secrets."""
    return redirect(url_for(".index", q=find_users.presentable(request.form.get("q", "")[:LONGEST])), 303)


@blueprint.get("/test-billing/<int:user_id>")
def show(user_id: int) -> ResponseReturnValue:
    """Show this user's objects in test mode, and the form for a new order."""
    return _page(find_users.by_id(user_id), _form())


@blueprint.post("/test-billing/<int:user_id>")
@admins_only
@limiter.limit(PER_ADMIN)
def create(user_id: int) -> ResponseReturnValue:
    """Create a test order, paid off-session or on a checkout page."""
    user, form = find_users.still_here(user_id), _form()
    if not form.validate_on_submit():
        return _page(user, form), 400
    try:
        order = _bought(user, form.choice(), by_checkout=request.form.get("way") == "checkout")
    except PortalError as refused:
        db.session.rollback()
        tried = {"item": form.item.data, "card": form.card.data, "because": refused.code}
        audit.record("test_purchase.refused", user_id=user.id, after=tried)
        db.session.commit()
        form.form_errors = [refused.detail]
        return _page(user, form), refused.status
    _note("test_purchase.made", order, card=form.card.data)
    db.session.commit()
    return redirect(url_for(".purchase", number=order.number), 303)


def _bought(user: User, choice: Choice, *, by_checkout: bool) -> Order:
    db.session.commit()
    if not by_checkout:
        return orders.buy(user, choice)
    back = mail.external("admin_testing.show", user_id=user.id)
    done = mail.external("admin_testing.returned")
    return orders.checkout_link(user, choice, success_url=f"{done}?session_id={ID_PLACEHOLDER}", cancel_url=back)


@blueprint.get("/test-billing/returned")
def returned() -> ResponseReturnValue:
    """Redirect from a test checkout to its timeline, which the webhook completes."""
    query = select(Order.number).filter_by(session_id=request.args.get("session_id", ""), mode=Mode.TEST)
    number = db.session.execute(query).scalar_one_or_none()
    if number is None:
        raise NotFound("There is no such test purchase.")
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.get("/test-billing/purchases/<number>")
def purchase(number: str) -> ResponseReturnValue:
    """Show the timeline: Stripe's objects, events, handlers, and changes."""
    found = timeline.of(number)
    return render_template(
        "admin/order.html",
        chain=found,
        order=found.order,
        access=access.of(found.order.customer),
        steps=time_travel.ahead(found.order.customer),
        nonce=secrets.token_urlsafe(16),
        may_dispute=not current_settings().is_at_stripe,
        mode=Mode.TEST,
    )


@blueprint.get("/test-billing/purchases/<number>/state")
def state(number: str) -> ResponseReturnValue:
    """Return what the timeline's page polls: `{"state": …}`."""
    return {"state": timeline.of(number).state}


@blueprint.post("/test-billing/purchases/<number>/check")
def check(number: str) -> ResponseReturnValue:
    """Sync the order with Stripe, as its webhook would."""
    found = timeline.of(number).order
    _note("test_purchase.checked", found)
    db.session.commit()
    if found.off_session and found.state == OrderState.OPEN and current_user.is_admin:
        orders.pay_again(found)
    elif found.subscription_id:
        subscriptions.sync(Mode.TEST, found.subscription_id)
    else:
        find.bring_up_to_date(found)
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.post("/test-billing/<int:user_id>/cancel")
@admins_only
def cancel(user_id: int) -> ResponseReturnValue:
    """Cancel a test subscription, immediately or at the period's end."""
    customer, stripe_id = _customer(user_id), request.form.get("subscription", "")
    later = request.form.get("when") == "period_end"
    when = {"when": "period_end" if later else "now"}
    audit.record("test_subscription.cancelled", customer_id=customer.id, subject=stripe_id, after=when)
    if later:
        orders.cancel_later(customer, stripe_id)
        flash("The test subscription ends with its period.", "positive")
    else:
        orders.cancel(customer, stripe_id)
        flash("The test subscription has ended.", "positive")
    return redirect(_sent_from(user_id), 303)


@blueprint.post("/test-billing/purchases/<number>/refund")
@admins_only
def refund(number: str) -> ResponseReturnValue:
    """Refund a test payment in full."""
    found = timeline.of(number)
    payment = refunds.refundable_of_order(found.order)
    _note("test_purchase.refund_asked", found.order)
    db.session.commit()
    refunds.issue(payment, payment.amount - payment.refunded, payment.refunded, request.form.get("nonce", ""))
    flash("The refund is ordered; the ledger follows by webhook.", "positive")
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.post("/test-billing/purchases/<number>/dispute")
@admins_only
def dispute(number: str) -> ResponseReturnValue:
    """Open a dispute for a test payment, only in the sandbox."""
    found = timeline.of(number).order
    _note("test_purchase.dispute_asked", found)
    orders.dispute(found)
    flash("The payment is disputed; the ledger follows by webhook.", "positive")
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.post("/test-billing/<int:user_id>/reset")
@admins_only
def reset(user_id: int) -> ResponseReturnValue:
    """Reset this user's test data, except for its history."""
    customer = _customer(user_id)
    audit.record("test_data.reset", customer_id=customer.id)
    db.session.commit()
    orders.reset(customer)
    flash("The test data is reset.", "positive")
    return _back(user_id)


@blueprint.post("/test-billing/<int:user_id>/advance")
@admins_only
def advance(user_id: int) -> ResponseReturnValue:
    """Advance the user's test clock."""
    customer, step = _customer(user_id), request.form.get("step", "")
    audit.record("test_clock.advance_asked", customer_id=customer.id, after={"step": step[:LONGEST_STEP]})
    db.session.commit()
    reached = time_travel.advance(customer, step, _moment(request.form.get("seen", "")))
    flash(
        f"The clock goes on to {reached:%Y-%m-%d %H:%M} UTC. What happens until then comes as events.", "positive"
    )
    return redirect(_sent_from(user_id), 303)


@blueprint.post("/test-billing/<int:user_id>/event")
@admins_only
@limiter.limit(PER_ADMIN)
def send_event(user_id: int) -> ResponseReturnValue:
    """Send a signed test event to our own endpoint, and show the response."""
    user, kind = find_users.by_id(user_id), request.form.get("type", "")
    customer = _customer(user_id)
    answer = signed_events.send(customer, kind)
    audit.record("test_event.sent", customer_id=customer.id, subject=answer.event_id, after={"type": kind})
    db.session.commit()
    return _page(user, _form(), answer=answer)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            "The form was not complete. Go back and try again.", errors={"seen": "no time"}
        ) from None


def _form() -> PurchaseForm:
    return PurchaseForm(plans.every_plan(), packages.offers(Mode.TEST))


def _customer(user_id: int) -> Customer:
    """Return the user's test customer. Raises NotFound before their first test order."""
    query = select(Customer).filter_by(user_id=user_id, mode=Mode.TEST)
    customer = db.session.execute(query).scalar_one_or_none()
    if customer is None:
        raise NotFound("This user has bought nothing in test mode yet.")
    return customer


def _note(action: str, order: Order, **after: Any) -> None:
    audit.record(action, customer_id=order.customer_id, subject=order.number, after=after)


def _back(user_id: int) -> ResponseReturnValue:
    return redirect(url_for(".show", user_id=user_id), 303)


def _sent_from(user_id: int) -> str:
    """Return the timeline's page if the button was there, else the user's."""
    number = request.form.get("purchase", "")
    return url_for(".purchase", number=number) if number else url_for(".show", user_id=user_id)


def _page(user: User, form: PurchaseForm, **more: Any) -> str:
    customer = db.session.execute(select(Customer).filter_by(user_id=user.id, mode=Mode.TEST)).scalar_one_or_none()
    shown = {"answer": None} | more
    return render_template(
        "admin/test_user.html",
        user=user,
        form=form,
        customer=customer,
        subscriptions=subscriptions.of_customer(customer.id, ended=True) if customer else [],
        orders=_orders(customer.id) if customer else [],
        types=sorted(signed_events.KINDS),
        steps=time_travel.ahead(customer) if customer else {},
        mode=Mode.TEST,
        **shown,
    )


def _orders(customer_id: int) -> list[Order]:
    query = select(Order).filter_by(customer_id=customer_id).order_by(Order.id.desc()).limit(NEWEST)
    return list(db.session.execute(query).scalars())
