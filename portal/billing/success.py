"""The success page and the key reveal: a session's id alone shows no key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import mail
from portal.answers import State, answers
from portal.billing import orders
from portal.billing.buying import SESSION_ID
from portal.billing.views import PER_ADDRESS
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, limiter, writes
from portal.keys import minting
from portal.models import Purchase
from portal.pages import private
from portal.purchases import lookup

blueprint = Blueprint("success", __name__, url_prefix="/billing/success")

Given = dict[str, Any]  # session_id or order, as the page was opened


@dataclass(frozen=True)
class Look:
    """An order and who looks: its signed-in owner, or a Payment Link's bearer."""

    purchase: Purchase
    is_owner: bool

    def standing(self) -> str:
        """Where the order stands now, for this reader. Asks Stripe; commits."""
        is_current = lookup.bring_up_to_date(self.purchase)
        return orders.standing(self.purchase, is_owner=self.is_owner, is_current=is_current)


@blueprint.get("")
@writes
@limiter.limit(PER_ADDRESS)
def page() -> ResponseReturnValue:
    """Where Stripe sends the buyer: pending, paid, declined, or already revealed, each in its own words."""
    given = _given(request.args)
    try:
        look = _look(given)
    except NotFound:
        if arrived := _arrived(given):
            return arrived
        raise
    if look is None:
        return _arrived(given) or redirect(url_for("accounts.login", next=request.full_path))
    return private(Response(_rendered(look, given)))


@blueprint.get("/state")
@writes
@limiter.limit("60/minute")
@answers(State, InvalidInput, NotFound, 429)
def state() -> State:
    """What the waiting page asks now and then. The order is named by `session_id` or `order`."""
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
        return redirect(url_for("accounts.login", next=url_for("success.page", **given)), 303)
    lookup.bring_up_to_date(look.purchase)
    revealed = orders.reveal(look.purchase, is_owner=look.is_owner)
    db.session.commit()
    if revealed is None:
        return redirect(url_for("success.page", **given), 303)
    key, secret = revealed
    html = render_template(
        "billing/key.html",
        key=secret,
        prefix=key.prefix,
        plan_name=look.purchase.name,
        curl=f'curl -H "Authorization: Bearer {secret}" {mail.external("keys_api.receipt")}',
        continue_url=url_for("billing.overview") if look.is_owner else url_for("success.page", **given),
    )
    return private(Response(html))


def _given(values: Mapping[str, str]) -> Given:
    """The session id or order number that the page was opened with. Raises InvalidInput for neither."""
    for name in ("session_id", "order"):
        if value := values.get(name, "").strip():
            if value == SESSION_ID:
                break
            return {name: value}
    words = "This page is opened by Stripe after a payment, with the order's id in its address."
    raise InvalidInput(words, errors={"session_id": "missing"}, action=("/billing", "See your plan"))


def _look(given: Given) -> Look | None:
    """The order for whoever may see it; None asks a stranger to sign in.

    Raises NotFound for somebody else's. Signed out, one's own and nobody's look the same.
    """
    ((name, value),) = given.items()
    purchase = lookup.by_session(value) if name == "session_id" else lookup.by_number(value)
    if purchase and purchase.kind != "plan":  # no key comes with it
        purchase = None
    if purchase and _owns(purchase):
        return Look(purchase, is_owner=True)
    if purchase and purchase.payment_link and name == "session_id":
        return Look(purchase, is_owner=False)
    if not current_user.is_authenticated:
        return None
    raise NotFound("There is no such order in your account.")


def _arrived(given: Given) -> Response | None:
    """The page of a payment that arrived and that no order is behind; None where there is no such payment."""
    found = lookup.unplaced_payment(given["session_id"]) if "session_id" in given else None
    if found is None:
        return None
    cost = {"amount": found.session.amount_total or 0, "currency": found.session.currency or "usd"}
    return private(Response(render_template("billing/unplaced.html", **cost)))


def _owns(purchase: Purchase) -> bool:
    return bool(current_user.is_authenticated and purchase.customer.user_id == current_user.user.id)


def _rendered(look: Look, given: Given) -> str:
    purchase, shown = look.purchase, look.standing()
    keys = minting.living(purchase.customer) if look.is_owner and shown in ("revealed", "has_key") else []
    return render_template(
        "billing/success.html",
        state=shown,
        is_owner=look.is_owner,
        order=purchase.number,
        plan_name=purchase.name,
        price=purchase,
        trial_days=purchase.trial_days,
        form_fields=given,
        poll_url=url_for("success.state", **given),
        check_url=url_for("success.page", **given),
        sign_in_url=url_for("accounts.login", next=url_for("success.page", **given)),
        pay_url=purchase.session_url,
        key_prefix=keys[0].prefix if keys else None,
    )
