"""The credits page: balance, packages, and the return from Stripe."""

import secrets

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import clock
from portal.api import bodies
from portal.api.rate_limits import per_person
from portal.api.responses import State, answers
from portal.catalogue import packages
from portal.catalogue.items import Item
from portal.credits import forms, grants
from portal.credits.included import overview
from portal.credits.orders import checkout as orders_checkout
from portal.credits.top_ups import rules
from portal.customers import access, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput, NotFound, Unauthorized
from portal.extensions import db, limiter, writes
from portal.models import Customer, Order
from portal.orders import find
from portal.orders.sessions import ID_PLACEHOLDER
from portal.settings import current_settings
from portal.web.pages import private

blueprint = Blueprint("credits", __name__, url_prefix="/credits")

PER_CUSTOMER = "20/minute"


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    """Show the balance, packages, and a custom amount."""
    return page(forms.for_user(current_user.user))


@blueprint.post("/checkout")
@login_required
@per_person(PER_CUSTOMER)
def checkout() -> ResponseReturnValue:
    """Order a package or a custom amount, and redirect to Stripe."""
    word = request.form.get("package", "").strip()
    if word != packages.CUSTOM:
        return _go(packages.find(word, Mode.LIVE, field="package"))
    given = forms.for_user(current_user.user)
    if not given.custom.validate_on_submit():
        return page(given), 400
    try:
        item = packages.find(word, Mode.LIVE, amount=given.custom.minor)
    except InvalidInput as refused:
        given.custom.amount.errors = [refused.detail]
        return page(given), 400
    return _go(item)


@blueprint.get("/success")
@writes
@limiter.limit(PER_CUSTOMER)
def success() -> ResponseReturnValue:
    """Show the buyer who returns from Stripe whether credits were added, are pending, or were not paid.

    A payment without an order has a page of its own, which also works signed out.
    """
    session_id = request.args.get("session_id", "").strip()
    if not current_user.is_authenticated:
        return find.unplaced_page(session_id) or redirect(url_for("sign_in.login", next=request.full_path), 303)
    try:
        order = _mine()
    except NotFound:
        if found := find.unplaced_page(session_id):
            return found
        raise
    standing = _standing(order)
    db.session.refresh(order.customer)
    html = render_template(
        "credits/success.html",
        state=standing,
        order=order.number,
        credits=order.credits,
        amount=order.amount,
        currency=order.currency,
        balance=order.customer.credit_balance,
        pay_url=order.session_url,
        poll_url=url_for("credits.state", session_id=order.session_id),
        check_url=url_for("credits.success", session_id=order.session_id),
    )
    return private(Response(html))


@blueprint.get("/success/state")
@writes
@login_required
@limiter.limit("60/minute")
@answers(State, Unauthorized, InvalidInput, NotFound, 429)
def state() -> State:
    """Return the state that the waiting page polls. The order is named by `session_id`."""
    return State(state=_standing(_mine()))


def page(given: forms.Forms) -> str:
    """Render the credits page with its forms, submitted or empty."""
    customer, rule = given.customer, given.rule
    return render_template(
        "credits/index.html",
        balance=customer.credit_balance if customer else 0,
        grants=grants.still_open(customer.id) if customer and customer.has_grants else [],
        included=overview.current(customer.id, clock.now(customer.clock_at)) if customer else None,
        offers=given.offers,
        limits=packages.limits(),
        forms=given,
        nonce=lambda: secrets.token_urlsafe(16),  # one per form, so that submitting it twice buys once
        rule=rule,
        paused=rules.PAUSED.get(rule.paused_reason or "") if rule else None,
        attempts=rules.attempts(rule.customer_id) if rule else [],
        charged=rules.charged_this_month(rule.customer_id, clock.now()) if rule and rule.enabled else 0,
    )


def _go(item: Item) -> ResponseReturnValue:
    customer = stripe_customers.of(current_user.user)
    order = orders_checkout.begin(customer, item, front=current_settings().base_url, nonce=_nonce(item))
    if order.paid_at:
        return redirect(url_for("credits.success", session_id=order.session_id), 303)
    assert order.session_url is not None
    return redirect(order.session_url, 303)


def _nonce(item: Item) -> str | None:
    """Return the submitted form's nonce with its item: a page restored by "Back" may ask for another amount."""
    sent = request.form.get("nonce")
    return bodies.nonce("form", f"{sent}:{item.key}:{item.amount}") if sent else None


def _mine() -> Order:
    """Return the reader's own order of the session in the URL. Raises NotFound for anyone else's."""
    session_id = request.args.get("session_id", "").strip()
    if session_id in ("", ID_PLACEHOLDER):
        words = "This page is opened by Stripe after a payment, with the order's id in its address."
        raise InvalidInput(words, errors={"session_id": "missing"}, action=("/credits", "See your credits"))
    customer: Customer | None = stripe_customers.find(current_user.user)
    order = find.by_session(session_id)
    if order is not None and order.kind != "credits":
        order = None
    return access.own_or_404(order, customer)


def _standing(order: Order) -> str:
    """Return the order's current state. Calls Stripe; commits."""
    is_current = find.bring_up_to_date(order)
    return "paid" if order.paid_at else find.unpaid(order, is_current=is_current)
