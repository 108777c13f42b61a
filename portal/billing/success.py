"""The success page and the key reveal (money rule 10): a session's id alone shows no key."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select, update

from portal import clock
from portal.billing.buying import SESSION_ID, page_url
from portal.billing.views import PER_ADDRESS, STARTED
from portal.errors import Conflict, InvalidInput, NotFound, StripeRefused, StripeUnavailable
from portal.extensions import db, limiter, writes
from portal.keys import minting
from portal.models import Purchase
from portal.pages import private
from portal.purchases import fulfilment
from portal.purchases.fulfilment import Mismatch

blueprint = Blueprint("success", __name__, url_prefix="/billing/success")

Given = dict[str, Any]  # session_id or order, as the page was opened


@blueprint.get("")
@writes
@limiter.limit(PER_ADDRESS)
def page() -> ResponseReturnValue:
    """Where Stripe sends the buyer: pending, paid, declined, or already revealed, each in its own words."""
    given = _given(request.args)
    purchase = _allowed(_find(given))
    if purchase is None:
        return redirect(url_for("accounts.login", next=request.full_path))
    purchase = _brought_up_to_date(purchase)
    return private(Response(_rendered(purchase, given)))


@blueprint.get("/state")
@writes
@limiter.limit("60/minute")
def state() -> ResponseReturnValue:
    """What the waiting page asks now and then: `{"state": …}`."""
    purchase = _allowed(_find(_given(request.args)))
    if purchase is None:
        raise NotFound("There is no such order.")
    return {"state": standing(_brought_up_to_date(purchase))}


@blueprint.post("/reveal")
@limiter.limit(PER_ADDRESS)
def reveal() -> ResponseReturnValue:
    """Show the key of a paid purchase, once: the update decides which of two clicks sees it."""
    given = _given(request.form)
    purchase = _allowed(_find(given))
    if purchase is None:
        return redirect(url_for("accounts.login", next=url_for("success.page", **given)), 303)
    if purchase.paid_at is None:
        raise Conflict("This order is not paid yet, so there is no key to show.")
    once = update(Purchase).where(Purchase.id == purchase.id, Purchase.revealed_at.is_(None))
    if not db.session.execute(once.values(revealed_at=clock.now())).rowcount:  # type: ignore[attr-defined]
        db.session.rollback()
        return redirect(url_for("success.page", **given), 303)
    key, secret = minting.mint(purchase.customer, purchase.name)
    db.session.commit()
    html = render_template(
        "billing/key.html",
        key=secret,
        prefix=key.prefix,
        plan_name=purchase.name,
        curl=f'curl -H "Authorization: Bearer {secret}" {page_url("keys_api.receipt")}',
        continue_url=url_for("billing.overview"),
    )
    return private(Response(html))


def standing(purchase: Purchase) -> str:
    """Where a purchase stands, in the page's words."""
    if purchase.revealed_at:
        return "revealed"
    if purchase.paid_at:
        if minting.living(purchase.customer):
            return "has_key"
        return "paid" if purchase.amount else "free"
    if purchase.state == "open" and purchase.completed_at is None:
        return "unpaid"
    return {"failed": "declined", "expired": "expired"}.get(purchase.state, "pending")


def _given(values: Mapping[str, str]) -> Given:
    """The session id or order number that the page was opened with. Raises InvalidInput for neither."""
    for name in ("session_id", "order"):
        if value := values.get(name, "").strip():
            if value == SESSION_ID:
                break
            return {name: value}
    words = "This page is opened by Stripe after a payment, with the order's id in its address."
    raise InvalidInput(words, errors={"session_id": "missing"}, action=("/billing", "See your plan"))


def _find(given: Given) -> Purchase | None:
    column = Purchase.session_id if "session_id" in given else Purchase.number
    (value,) = given.values()
    query = select(Purchase).where(Purchase.mode == "live", column == value)
    found = db.session.execute(query).scalar_one_or_none()
    if found is None and "session_id" in given and current_user.is_authenticated:
        found = _found_at_stripe(value)
    return found


def _found_at_stripe(session_id: str) -> Purchase | None:
    """A session whose id we never got to store (a crash after the call) is found by what is written on it."""
    if not session_id.startswith("cs_"):
        return None
    db.session.commit()
    try:
        return fulfilment.fulfil("live", session_id)
    except (StripeRefused, Mismatch):
        db.session.rollback()
        return None


def _allowed(purchase: Purchase | None) -> Purchase | None:
    """The purchase for its owner, or for the browser that started it; None asks a stranger to sign in.

    Raises NotFound for somebody else's: signed out, one's own and nobody's look the same.
    """
    if purchase and purchase.number in session.get(STARTED, []):
        return purchase
    if not current_user.is_authenticated:
        return None
    if purchase is None or purchase.customer.user_id != current_user.user.id:
        raise NotFound("There is no such order in your account.")
    return purchase


def _brought_up_to_date(purchase: Purchase) -> Purchase:
    """Ask Stripe, unless it is paid already; whoever comes first, page or webhook, does the same."""
    if purchase.paid_at or purchase.session_id is None:
        return purchase
    db.session.commit()
    try:
        fulfilment.fulfil(purchase.mode, purchase.session_id)
    except (StripeUnavailable, StripeRefused, Mismatch):
        db.session.rollback()  # the page says pending; webhook or next look will tell
    db.session.refresh(purchase)
    return purchase


def _rendered(purchase: Purchase, given: Given) -> str:
    shown = standing(purchase)
    keys = minting.living(purchase.customer) if shown in ("revealed", "has_key") else []
    return render_template(
        "billing/success.html",
        state=shown,
        order=purchase.number,
        plan_name=purchase.name,
        price={"amount": purchase.amount, "currency": purchase.currency, "interval": purchase.interval},
        form_fields=given,
        poll_url=url_for("success.state", **given),
        check_url=url_for("success.page", **given),
        pay_url=purchase.session_url,
        key_prefix=keys[0].prefix if keys else None,
        charged=False if shown in ("declined", "expired", "unpaid") else None,
    )
