"""Exporting the user's data, and deleting the account."""

from flask import Blueprint, Response, flash, redirect, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import clock
from portal.accounts import users
from portal.accounts.forms import PasswordForm
from portal.accounts.personal_data import deletion, deletion_blockers
from portal.accounts.personal_data import export as exporting
from portal.accounts.responses import page, refused
from portal.accounts.security.password_prompt import recent_password_required
from portal.accounts.sign_in import sessions
from portal.customers import access, owners, stripe_customers
from portal.errors import InvalidInput
from portal.extensions import db, limiter
from portal.models import User

blueprint = Blueprint("data", __name__, url_prefix="/account")


@blueprint.post("/export")
@recent_password_required
@limiter.limit("10/hour")
def export() -> ResponseReturnValue:
    """Export everything stored about the reader, as a zip."""
    name = f"portal-{clock.now():%Y-%m-%d}.zip"
    body = stream_with_context(exporting.pieces(current_user.id))
    disposition = f'attachment; filename="{name}"'
    return Response(body, mimetype="application/zip", headers={"Content-Disposition": disposition})


@blueprint.route("/delete", methods=["GET", "POST"])
@login_required
def delete() -> ResponseReturnValue:
    """Show what is deleted and what is kept; with the password, delete the account."""
    user: User = current_user.user
    deletion_blockers.check(user)
    form = PasswordForm()
    plan_name = access.of(stripe_customers.find(user)).plan_name
    if not form.validate_on_submit():
        return page("accounts/delete.html", form, plan_name=plan_name)
    try:
        users.confirm_password(user, form.password.data)
    except InvalidInput as error:
        return refused("accounts/delete.html", form, error, plan_name=plan_name)
    owners.hold_signed_in(user)
    deletion.delete_account(user)
    sessions.sign_out()
    db.session.commit()
    deletion.finish()  # at Stripe; the next run of the scheduled tasks does the rest
    flash("Your account is deleted. Thank you for having been here.", "positive")
    return redirect(url_for("billing.pricing"), 303)
