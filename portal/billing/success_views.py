"""The success page and the key reveal. A session's id alone shows no key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import mail
from portal.api.responses import State, answers
from portal.billing.forms import AddressForm
from portal.billing.views import PER_ADDRESS
from portal.customers import email_sync
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, limiter, writes
from portal.keys import api_keys, key_reveal
from portal.models import Order
from portal.orders import find
from portal.orders.sessions import ID_PLACEHOLDER
from portal.web.pages import private

blueprint = Blueprint("success", __name__, url_prefix="/billing/success")

REVEALED = "purchase_revealed"  # cookie: the number of the order whose key was shown in this browser
Given = dict[str, Any]  # session_id or order, from the URL


@dataclass(frozen=True)
class Look:
    """An order and its reader: the signed-in owner, or the bearer of a Payment Link's session."""

    order: Order
    is_owner: bool

    def standing(self) -> str:
        """Return the order's current state for this reader. Calls Stripe; commits."""
        is_current = find.bring_up_to_date(self.order)
        return key_reveal.standing(self.order, is_owner=self.is_owner, is_current=is_current)


@blueprint.get("")
@writes
@limiter.limit(PER_ADDRESS)
def page() -> ResponseReturnValue:
    """Show the buyer who returns from Stripe whether the order is pending, paid, declined, or already revealed."""
    given = _given(request.args)
    try:
        look = _look(given)
    except NotFound:
        if found := _arrived(given):
            return found
        raise
    if look is None:
        return _arrived(given) or redirect(url_for("sign_in.login", next=request.full_path))
    return private(Response(_rendered(look, given)))


@blueprint.get("/state")
@writes
@limiter.limit("60/minute")
@answers(State, InvalidInput, NotFound, 429)
def state() -> State:
    """Return the state that the waiting page polls. The order is named by `session_id` or `order`."""
    look = _look(_given(request.args))
    if look is None:
        raise NotFound("There is no such order.")
    return State(state=look.standing())


@blueprint.post("/reveal")
@limiter.limit(PER_ADDRESS)
def reveal() -> ResponseReturnValue:
    """Show the key of a paid order, once."""
    given = _given(request.form)
    look = _look(given)
    if look is None:
        return redirect(url_for("sign_in.login", next=url_for("success.page", **given)), 303)
    find.bring_up_to_date(look.order)
    revealed = key_reveal.reveal(look.order, is_owner=look.is_owner)
    db.session.commit()
    if revealed is None:
        return redirect(url_for("success.page", **given), 303)
    session[REVEALED] = look.order.number
    key, secret = revealed
    html = render_template(
        "billing/key.html",
        key=secret,
        prefix=key.prefix,
        plan_name=look.order.name,
        curl=f'curl -H "Authorization: Bearer {secret}" {mail.external("keys_api.receipt")}',
        continue_url=url_for("billing.overview") if look.is_owner else url_for("success.page", **given),
    )
    return private(Response(html))


@blueprint.route("/address", methods=["GET", "POST"])
@writes
@limiter.limit("10/hour", methods=["POST"])
@limiter.limit("5/day", methods=["POST"], key_func=lambda: f"order:{request.form.get('session_id', '')[:255]}")
def address() -> ResponseReturnValue:
    """Correct the address that was typed at a Payment Link, for a bearer who may reveal the key or has revealed
    it.
    """
    given = _given(request.values)
    look = _look(given)
    if look is None or look.is_owner or not _may_correct(look.order):
        raise NotFound("There is no address to correct.")
    form = AddressForm()
    status = 400 if form.is_submitted() else 200
    if form.validate_on_submit():
        try:
            email_sync.correct(look.order, form.email.data)
            db.session.commit()
            flash("We emailed the link to the new address. The earlier link no longer works.", "positive")
            return redirect(url_for("success.page", **given), 303)
        except InvalidInput as error:
            db.session.rollback()
            form.email.errors = [error.detail]
    html = render_template("billing/address.html", form=form, email=look.order.customer.user.email, given=given)
    return private(Response(html, status))


def _may_correct(order: Order) -> bool:
    return key_reveal.may_correct(order, revealed_here=session.get(REVEALED) == order.number)


def _address(look: Look) -> str:
    """Return the address of the order; masked for a reader who has only an old session's id."""
    user = look.order.customer.user
    return user.email if look.is_owner or _may_correct(look.order) else mail.masked(user.email)


def _given(values: Mapping[str, str]) -> Given:
    """Return the session id or order number from the URL. Raises InvalidInput if there is neither."""
    for name in ("session_id", "order"):
        if value := values.get(name, "").strip():
            if value == ID_PLACEHOLDER:
                break
            return {name: value}
    words = "This page is opened by Stripe after a payment, with the order's id in its address."
    raise InvalidInput(words, errors={"session_id": "missing"}, action=("/billing", "See your plan"))


def _look(given: Given) -> Look | None:
    """Return the order for a reader who may see it; None asks a visitor to sign in.

    Raises NotFound for someone else's order. Signed out, an existing and a missing order look the same.
    """
    ((name, value),) = given.items()
    order = find.by_session(value) if name == "session_id" else find.by_number(value)
    if order and order.kind != "plan":  # it has no key
        order = None
    if order and _owns(order):
        return Look(order, is_owner=True)
    if order and order.payment_link and name == "session_id":
        return Look(order, is_owner=False)
    if not current_user.is_authenticated:
        return None
    raise NotFound("There is no such order in your account.")


def _arrived(given: Given) -> Response | None:
    """Return the page of a payment that arrived without an order; None if there is no such payment."""
    return find.unplaced_page(given["session_id"]) if "session_id" in given else None


def _owns(order: Order) -> bool:
    return bool(current_user.is_authenticated and order.customer.user_id == current_user.user.id)


def _rendered(look: Look, given: Given) -> str:
    order, shown = look.order, look.standing()
    keys = api_keys.living(order.customer) if look.is_owner and shown in ("revealed", "has_key") else []
    return render_template(
        "billing/success.html",
        state=shown,
        is_owner=look.is_owner,
        order=order.number,
        plan_name=order.name,
        price=order,
        trial_days=order.trial_days,
        form_fields=given,
        poll_url=url_for("success.state", **given),
        check_url=url_for("success.page", **given),
        sign_in_url=url_for("sign_in.login", next=url_for("success.page", **given)),
        pay_url=order.session_url,
        address=_address(look),
        may_correct=not look.is_owner and _may_correct(order),
        is_proven=order.customer.user.is_proven,
        key_prefix=keys[0].prefix if keys else None,
    )
