"""Test billing: buy as any user in test mode, watch what happens, and let time pass."""

import secrets
from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from portal import access, audit, mail
from portal.admin import chain, delivering, people
from portal.admin.forms import LONGEST, PurchaseForm, SearchForm
from portal.admin.guard import admins_only
from portal.billing import plans, subscriptions, testing, time_travel
from portal.billing.buying import SESSION_ID
from portal.billing.testing import Choice
from portal.credits import packages
from portal.errors import InvalidInput, NotFound, PortalError
from portal.extensions import db, limiter
from portal.models import Customer, Purchase, User
from portal.payments import issue
from portal.purchases import lookup
from portal.settings import current_settings

blueprint = Blueprint("admin_testing", __name__)

NEWEST = 20
PER_ADMIN = "60/minute"
LONGEST_STEP = 20  # of what a form may hold; it is written down before it is looked at


@blueprint.get("/test-billing")
def index() -> ResponseReturnValue:
    """Pick a user."""
    form = SearchForm(request.args)
    found, _ = people.page(form.q.data or "") if form.validate() else ([], None)
    return render_template("admin/testing.html", form=form, users=found, mode="test")


@blueprint.post("/test-billing")
def search() -> ResponseReturnValue:
    """The same with the words in its address, but for secrets."""
    return redirect(url_for(".index", q=people.presentable(request.form.get("q", "")[:LONGEST])), 303)


@blueprint.get("/test-billing/<int:user_id>")
def show(user_id: int) -> ResponseReturnValue:
    """What this user has in test mode, and the form that buys more."""
    return _page(people.by_id(user_id), _form())


@blueprint.post("/test-billing/<int:user_id>")
@admins_only
@limiter.limit(PER_ADMIN)
def create(user_id: int) -> ResponseReturnValue:
    """Create a test purchase, paid off session or by a checkout page."""
    user, form = people.still_here(user_id), _form()
    if not form.validate_on_submit():
        return _page(user, form), 400
    try:
        purchase = _bought(user, form.choice(), by_checkout=request.form.get("way") == "checkout")
    except PortalError as refused:
        db.session.rollback()
        tried = {"item": form.item.data, "card": form.card.data, "because": refused.code}
        audit.record("test_purchase.refused", user_id=user.id, after=tried)
        db.session.commit()
        form.form_errors = [refused.detail]
        return _page(user, form), refused.status
    _note("test_purchase.made", purchase, card=form.card.data)
    db.session.commit()
    return redirect(url_for(".purchase", number=purchase.number), 303)


def _bought(user: User, choice: Choice, *, by_checkout: bool) -> Purchase:
    db.session.commit()
    if not by_checkout:
        return testing.buy(user, choice)
    back = mail.external("admin_testing.show", user_id=user.id)
    done = mail.external("admin_testing.returned")
    return testing.checkout_link(user, choice, success_url=f"{done}?session_id={SESSION_ID}", cancel_url=back)


@blueprint.get("/test-billing/returned")
def returned() -> ResponseReturnValue:
    """Back from a test checkout: on to its chain, which the webhook completes."""
    query = select(Purchase.number).filter_by(session_id=request.args.get("session_id", ""), mode="test")
    number = db.session.execute(query).scalar_one_or_none()
    if number is None:
        raise NotFound("There is no such test purchase.")
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.get("/test-billing/purchases/<number>")
def purchase(number: str) -> ResponseReturnValue:
    """The chain: Stripe's objects, events, handlers, and what changed."""
    found = chain.of(number)
    return render_template(
        "admin/purchase.html",
        chain=found,
        purchase=found.purchase,
        access=access.of(found.purchase.customer),
        steps=time_travel.ahead(found.purchase.customer),
        nonce=secrets.token_urlsafe(16),
        may_dispute=not current_settings().is_at_stripe,
        mode="test",
    )


@blueprint.get("/test-billing/purchases/<number>/state")
def state(number: str) -> ResponseReturnValue:
    """What the chain's page asks now and then: `{"state": …}`."""
    return {"state": chain.of(number).state}


@blueprint.post("/test-billing/purchases/<number>/check")
def check(number: str) -> ResponseReturnValue:
    """Ask Stripe how the order is, as its webhook would."""
    found = chain.of(number).purchase
    _note("test_purchase.checked", found)
    db.session.commit()
    if found.off_session and found.state == "open" and current_user.is_admin:
        testing.pay_again(found)
    elif found.subscription_id:
        subscriptions.sync("test", found.subscription_id)
    else:
        lookup.bring_up_to_date(found)
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.post("/test-billing/<int:user_id>/cancel")
@admins_only
def cancel(user_id: int) -> ResponseReturnValue:
    """End a test subscription, now or with its period."""
    customer, stripe_id = _customer(user_id), request.form.get("subscription", "")
    later = request.form.get("when") == "period_end"
    when = {"when": "period_end" if later else "now"}
    audit.record("test_subscription.cancelled", customer_id=customer.id, subject=stripe_id, after=when)
    if later:
        testing.cancel_later(customer, stripe_id)
        flash("The test subscription ends with its period.", "positive")
    else:
        testing.cancel(customer, stripe_id)
        flash("The test subscription has ended.", "positive")
    return redirect(_sent_from(user_id), 303)


@blueprint.post("/test-billing/purchases/<number>/refund")
@admins_only
def refund(number: str) -> ResponseReturnValue:
    """Give the whole of a test payment back."""
    found = chain.of(number)
    payment = issue.of_purchase(found.purchase)
    _note("test_purchase.refund_asked", found.purchase)
    db.session.commit()
    issue.refund(payment, payment.amount - payment.refunded, payment.refunded, request.form.get("nonce", ""))
    flash("The refund is ordered; the ledger follows by webhook.", "positive")
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.post("/test-billing/purchases/<number>/dispute")
@admins_only
def dispute(number: str) -> ResponseReturnValue:
    """Have the cardholder dispute a test payment; in the sandbox alone."""
    found = chain.of(number).purchase
    _note("test_purchase.dispute_asked", found)
    testing.dispute(found)
    flash("The payment is disputed; the ledger follows by webhook.", "positive")
    return redirect(url_for(".purchase", number=number), 303)


@blueprint.post("/test-billing/<int:user_id>/reset")
@admins_only
def reset(user_id: int) -> ResponseReturnValue:
    """Start over: nothing is left of this user's test data but its history."""
    customer = _customer(user_id)
    audit.record("test_data.reset", customer_id=customer.id)
    db.session.commit()
    testing.reset(customer)
    flash("The test data is reset.", "positive")
    return _back(user_id)


@blueprint.post("/test-billing/<int:user_id>/advance")
@admins_only
def advance(user_id: int) -> ResponseReturnValue:
    """Let time pass on the user's test clock."""
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
    """Send a signed test event to our own endpoint, and show what it answers."""
    user, kind = people.by_id(user_id), request.form.get("type", "")
    customer = _customer(user_id)
    answer = delivering.send(customer, kind)
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
    return PurchaseForm(plans.every_plan(), packages.offers("test"))


def _customer(user_id: int) -> Customer:
    """The user's test customer. Raises NotFound before their first test purchase."""
    query = select(Customer).filter_by(user_id=user_id, mode="test")
    customer = db.session.execute(query).scalar_one_or_none()
    if customer is None:
        raise NotFound("This user has bought nothing in test mode yet.")
    return customer


def _note(action: str, purchase: Purchase, **after: Any) -> None:
    audit.record(action, customer_id=purchase.customer_id, subject=purchase.number, after=after)


def _back(user_id: int) -> ResponseReturnValue:
    return redirect(url_for(".show", user_id=user_id), 303)


def _sent_from(user_id: int) -> str:
    """The chain's page where the button stood there, else the user's."""
    number = request.form.get("purchase", "")
    return url_for(".purchase", number=number) if number else url_for(".show", user_id=user_id)


def _page(user: User, form: PurchaseForm, **more: Any) -> str:
    customer = db.session.execute(select(Customer).filter_by(user_id=user.id, mode="test")).scalar_one_or_none()
    shown = {"answer": None} | more
    return render_template(
        "admin/test_user.html",
        user=user,
        form=form,
        customer=customer,
        subscriptions=subscriptions.of_customer(customer.id, ended=True) if customer else [],
        purchases=_purchases(customer.id) if customer else [],
        types=sorted(delivering.KINDS),
        steps=time_travel.ahead(customer) if customer else {},
        mode="test",
        **shown,
    )


def _purchases(customer_id: int) -> list[Purchase]:
    query = select(Purchase).filter_by(customer_id=customer_id).order_by(Purchase.id.desc()).limit(NEWEST)
    return list(db.session.execute(query).scalars())
