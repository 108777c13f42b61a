"""The page of API keys."""

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import access, clock
from portal.errors import Conflict
from portal.extensions import db, limiter
from portal.keys import minting
from portal.keys.forms import KeyForm, RotateForm
from portal.models import ApiKey
from portal.pages import private
from portal.purchases import customers

blueprint = Blueprint("keys", __name__, url_prefix="/keys")

MOST_KEYS = 50


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    """The keys, by prefix; their secrets are gone."""
    return _index(KeyForm())


@blueprint.post("")
@login_required
@limiter.limit("20/minute")
def create() -> ResponseReturnValue:
    """Make a key and show it, this once."""
    form = KeyForm()
    if not form.validate_on_submit():
        return _index(form), 400
    customer = customers.of(current_user.user)
    if len(minting.living(customer)) >= MOST_KEYS:
        raise Conflict(f"An account has at most {MOST_KEYS} keys. Revoke one that is not used.")
    _, secret = minting.mint(customer, form.name.data.strip(), form.scopes.data, form.expires_at())
    db.session.commit()
    return _shown_once(secret)


@blueprint.get("/<int:key_id>/rotate")
@login_required
def confirm_rotate(key_id: int) -> ResponseReturnValue:
    """Ask how long the old key goes on beside the new one."""
    return render_template("keys/rotate.html", key=_own(key_id), form=RotateForm())


@blueprint.post("/<int:key_id>/rotate")
@login_required
@limiter.limit("20/minute")
def rotate(key_id: int) -> ResponseReturnValue:
    """Make the key that takes its place, and show it, this once."""
    key, form = _own(key_id), RotateForm()
    if not form.validate_on_submit():
        return render_template("keys/rotate.html", key=key, form=form), 400
    _, secret = minting.rotate(key, form.hours())
    db.session.commit()
    return _shown_once(secret)


@blueprint.get("/<int:key_id>/revoke")
@login_required
def confirm_revoke(key_id: int) -> ResponseReturnValue:
    """Ask before a key is ended."""
    return render_template("keys/revoke.html", key=_own(key_id))


@blueprint.post("/<int:key_id>/revoke")
@login_required
def revoke(key_id: int) -> ResponseReturnValue:
    """End a key at once."""
    key = _own(key_id)
    minting.revoke(key)
    db.session.commit()
    flash(f"“{key.name}” is revoked.", "positive")
    return redirect(url_for("keys.index"), 303)


def _shown_once(secret: str) -> Response:
    page = render_template("keys/created.html", key=secret, continue_url=url_for("keys.index"))
    return private(Response(page))


def _own(key_id: int) -> ApiKey:
    return access.own_or_404(db.session.get(ApiKey, key_id), customers.find(current_user.user))


def _index(form: KeyForm) -> str:
    customer = customers.find(current_user.user)
    keys = minting.all_of(customer) if customer else []
    return render_template("keys/index.html", keys=keys, form=form, now=clock.now())
