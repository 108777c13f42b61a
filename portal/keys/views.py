"""The page of API keys."""

from flask import Blueprint, Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from portal import access
from portal.errors import Conflict
from portal.extensions import db, limiter
from portal.keys import minting
from portal.models import ApiKey
from portal.pages import private
from portal.purchases import customers

blueprint = Blueprint("keys", __name__, url_prefix="/keys")

MOST_KEYS = 50


class KeyForm(FlaskForm):
    """A name for a new key."""

    name = StringField("Name", validators=[DataRequired("Give the key a name."), Length(max=100)])


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
    key, secret = minting.mint(customer, form.name.data.strip())
    db.session.commit()
    page = render_template("keys/created.html", key=secret, prefix=key.prefix, continue_url=url_for("keys.index"))
    return private(Response(page))


@blueprint.get("/<int:key_id>/revoke")
@login_required
def confirm_revoke(key_id: int) -> ResponseReturnValue:
    """Ask before a key is ended."""
    return render_template("keys/revoke.html", key=_own(key_id))


@blueprint.post("/<int:key_id>/revoke")
@login_required
def revoke(key_id: int) -> ResponseReturnValue:
    """End a key at once."""
    minting.revoke(_own(key_id))
    db.session.commit()
    return redirect(url_for("keys.index"), 303)


def _own(key_id: int) -> ApiKey:
    return access.own_or_404(db.session.get(ApiKey, key_id), customers.find(current_user.user))


def _index(form: KeyForm) -> str:
    customer = customers.find(current_user.user)
    keys = minting.all_of(customer) if customer else []
    return render_template("keys/index.html", keys=keys, form=form)
