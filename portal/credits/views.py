"""The credits page: balance, packages, and the way back from Stripe."""

import secrets

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import access, clock, inputs
from portal.answers import State, answers
from portal.credits import buying, forms, grants, packages
from portal.credits import topup_rules as rules
from portal.errors import InvalidInput, NotFound, Unauthorised
from portal.extensions import db, limiter, writes
from portal.models import Customer, Purchase
from portal.pages import private
from portal.purchases import customers, lookup
from portal.purchases.items import Item
from portal.rates import per_person
from portal.settings import current_settings

blueprint = Blueprint("credits", __name__, url_prefix="/credits")

PER_CUSTOMER = "20/minute"


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    """Balance, packages, and a custom amount."""
    return page(forms.of(current_user.user))


@blueprint.post("/checkout")
@login_required
@per_person(PER_CUSTOMER)
def checkout() -> ResponseReturnValue:
    """Buy a package, or credits for a custom amount: on to Stripe."""
    word = request.form.get("package", "").strip()
    if word != packages.CUSTOM:
        return _go(packages.find(word, "live", field="package"))
    given = forms.of(current_user.user)
    if not given.custom.validate_on_submit():
        return page(given), 400
    try:
        item = packages.find(word, "live", amount=given.custom.minor)
    except InvalidInput as refused:
        given.custom.amount.errors = [refused.detail]
        return page(given), 400
    return _go(item)


@blueprint.get("/success")
@writes
@login_required
def success() -> ResponseReturnValue:
    """Where Stripe sends the buyer: credits added, pending, or not paid, each in its own words."""
    purchase = _mine()
    standing = _standing(purchase)
    db.session.refresh(purchase.customer)
    html = render_template(
        "credits/success.html",
        state=standing,
        order=purchase.number,
        credits=purchase.credits,
        amount=purchase.amount,
        currency=purchase.currency,
        balance=purchase.customer.credit_balance,
        pay_url=purchase.session_url,
        poll_url=url_for("credits.state", session_id=purchase.session_id),
        check_url=url_for("credits.success", session_id=purchase.session_id),
    )
    return private(Response(html))


@blueprint.get("/success/state")
@writes
@login_required
@limiter.limit("60/minute")
@answers(State, Unauthorised, InvalidInput, NotFound, 429)
def state() -> State:
    """What the waiting page asks now and then. The order is named by `session_id`."""
    return State(state=_standing(_mine()))


def page(given: forms.Forms) -> str:
    """The credits page around its forms, refused or fresh."""
    customer, rule = given.customer, given.rule
    return render_template(
        "credits/index.html",
        balance=customer.credit_balance if customer else 0,
        grants=grants.still_open(customer.id) if customer and customer.has_grants else [],
        offers=given.offers,
        limits=packages.limits(),
        forms=given,
        nonce=lambda: secrets.token_urlsafe(16),  # one for each form: pressed twice, it buys once
        rule=rule,
        paused=rules.PAUSED.get(rule.paused_reason or "") if rule else None,
        attempts=rules.attempts(rule.customer_id) if rule else [],
        charged=rules.charged_this_month(rule.customer_id, clock.now()) if rule and rule.enabled else 0,
    )


def _go(item: Item) -> ResponseReturnValue:
    customer = customers.of(current_user.user)
    purchase = buying.begin(customer, item, front=current_settings().base_url, nonce=_nonce(item))
    if purchase.paid_at:
        return redirect(url_for("credits.success", session_id=purchase.session_id), 303)
    assert purchase.session_url is not None
    return redirect(purchase.session_url, 303)


def _nonce(item: Item) -> str | None:
    """The pressed form's own, and what it asked for: a page shown again by "Back" may ask for another amount."""
    sent = request.form.get("nonce")
    return inputs.nonce("form", f"{sent}:{item.key}:{item.amount}") if sent else None


def _mine() -> Purchase:
    """The reader's own order of the session in the address. Raises NotFound for anybody else's."""
    session_id = request.args.get("session_id", "").strip()
    if session_id in ("", buying.SESSION_ID):
        words = "This page is opened by Stripe after a payment, with the order's id in its address."
        raise InvalidInput(words, errors={"session_id": "missing"}, action=("/credits", "See your credits"))
    customer: Customer | None = customers.find(current_user.user)
    purchase = lookup.by_session(session_id)
    if purchase is not None and purchase.kind != "credits":
        purchase = None
    return access.own_or_404(purchase, customer)


def _standing(purchase: Purchase) -> str:
    """Where the order stands now. Asks Stripe; commits."""
    is_current = lookup.bring_up_to_date(purchase)
    return "paid" if purchase.paid_at else lookup.unpaid(purchase, is_current=is_current)
