"""Carrying one's data away, and deleting the account."""

from flask import Blueprint, Response, flash, redirect, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import access, clock
from portal.accounts import deletion, leaving, people, sessions
from portal.accounts import export as exporting
from portal.accounts.answers import page, refused
from portal.accounts.confirmation import recent_password_required
from portal.accounts.forms import PasswordForm
from portal.errors import InvalidInput
from portal.extensions import db, limiter
from portal.models import User
from portal.purchases import customers

blueprint = Blueprint("data", __name__, url_prefix="/account")


@blueprint.post("/export")
@recent_password_required
@limiter.limit("10/hour")
def export() -> ResponseReturnValue:
    """Everything that is kept about the reader, as a zip."""
    name = f"portal-{clock.now():%Y-%m-%d}.zip"
    body = stream_with_context(exporting.pieces(current_user.id))
    disposition = f'attachment; filename="{name}"'
    return Response(body, mimetype="application/zip", headers={"Content-Disposition": disposition})


@blueprint.route("/delete", methods=["GET", "POST"])
@login_required
def delete() -> ResponseReturnValue:
    """Say what goes and what stays; by the password it is done."""
    user: User = current_user.user
    leaving.check(user)
    form = PasswordForm()
    plan_name = access.of(customers.find(user)).plan_name
    if not form.validate_on_submit():
        return page("accounts/delete.html", form, plan_name=plan_name)
    try:
        people.confirm_password(user, form.password.data)
    except InvalidInput as error:
        return refused("accounts/delete.html", form, error, plan_name=plan_name)
    deletion.delete_account(user)
    sessions.sign_out()
    db.session.commit()
    deletion.finish()  # at Stripe; what it does not manage now, the next tick does
    flash("Your account is deleted. Thank you for having been here.", "positive")
    return redirect(url_for("billing.pricing"), 303)
