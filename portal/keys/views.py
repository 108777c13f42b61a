"""The page of API keys."""

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import clock
from portal.customers import access, owners, stripe_customers
from portal.errors import Conflict
from portal.extensions import db, limiter
from portal.keys import api_keys
from portal.keys.forms import KeyForm, RotateForm
from portal.models import ApiKey
from portal.web.pages import private

blueprint = Blueprint("keys", __name__, url_prefix="/keys")

MOST_KEYS = 50


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    """List the keys by prefix, without their secrets."""
    return _index(KeyForm())


@blueprint.post("")
@login_required
@limiter.limit("20/minute")
def create() -> ResponseReturnValue:
    """Create a key and show it once."""
    form = KeyForm()
    if not form.validate_on_submit():
        return _index(form), 400
    owners.hold_signed_in(current_user.user)
    customer = stripe_customers.of(current_user.user)
    if len(api_keys.living(customer)) >= MOST_KEYS:
        raise Conflict(f"An account has at most {MOST_KEYS} keys. Revoke one that is not used.")
    _, secret = api_keys.mint(customer, form.name.data.strip(), form.scopes.data, form.expires_at())
    db.session.commit()
    return _shown_once(secret)


@blueprint.get("/<int:key_id>/rotate")
@login_required
def confirm_rotate(key_id: int) -> ResponseReturnValue:
    """Ask how long the old key continues to work beside the new one."""
    return render_template("keys/rotate.html", key=_own(key_id), form=RotateForm())


@blueprint.post("/<int:key_id>/rotate")
@login_required
@limiter.limit("20/minute")
def rotate(key_id: int) -> ResponseReturnValue:
    """Create the replacement key and show it once."""
    key, form = _own(key_id), RotateForm()
    if not form.validate_on_submit():
        return render_template("keys/rotate.html", key=key, form=form), 400
    owners.hold_signed_in(current_user.user)
    _, secret = api_keys.rotate(key, form.hours())
    db.session.commit()
    return _shown_once(secret)


@blueprint.get("/<int:key_id>/revoke")
@login_required
def confirm_revoke(key_id: int) -> ResponseReturnValue:
    """Ask before a key is revoked."""
    return render_template("keys/revoke.html", key=_own(key_id))


@blueprint.post("/<int:key_id>/revoke")
@login_required
def revoke(key_id: int) -> ResponseReturnValue:
    """Revoke a key immediately."""
    key = _own(key_id)
    owners.hold_signed_in(current_user.user)
    api_keys.revoke(key)
    db.session.commit()
    flash(f"“{key.name}” is revoked.", "positive")
    return redirect(url_for("keys.index"), 303)


def _shown_once(secret: str) -> Response:
    page = render_template("keys/created.html", key=secret, continue_url=url_for("keys.index"))
    return private(Response(page))


def _own(key_id: int) -> ApiKey:
    return access.own_or_404(db.session.get(ApiKey, key_id), stripe_customers.find(current_user.user))


def _index(form: KeyForm) -> str:
    customer = stripe_customers.find(current_user.user)
    keys = api_keys.all_of(customer) if customer else []
    return render_template("keys/index.html", keys=keys, form=form, now=clock.now())
