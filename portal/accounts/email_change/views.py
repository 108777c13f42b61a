"""Changing the email address: the form, and the pages of the two mailed links."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import mail
from portal.accounts import users
from portal.accounts.email_change import changes
from portal.accounts.forms import ConfirmForm, NewEmailForm, PasswordForm
from portal.accounts.responses import page, refused
from portal.accounts.security.password_prompt import recent_password_required
from portal.customers import owners
from portal.errors import InvalidInput
from portal.extensions import db
from portal.web import pages

blueprint = Blueprint("email", __name__, url_prefix="/account/email")

WAITING = "Thank you. The address changes once the other one has confirmed it too."
ASKED = "We emailed a link to both addresses. The change waits for both."
ASKED_NEW = "We emailed a link to the new address. Open it here, or have your password at hand where you do."
CHANGED = "Your email address is changed."


@blueprint.after_request
def _keep_tokens_quiet(response: Response) -> Response:
    """Send no Referer, because the URL contains a token."""
    return pages.private(response)


@blueprint.route("", methods=["GET", "POST"])
@recent_password_required
def change() -> ResponseReturnValue:
    """Request another email address."""
    form = NewEmailForm()
    shown = {"waiting": changes.pending(current_user.user), "proven": current_user.user.is_proven}
    if not form.validate_on_submit():
        return page("accounts/email.html", form, **shown)
    try:
        changes.request(current_user.user, form.email.data)
    except InvalidInput as error:
        return refused("accounts/email.html", form, error, **shown)
    db.session.commit()
    flash(ASKED if current_user.user.is_proven else ASKED_NEW, "positive")
    return redirect(url_for("email.change"), 303)


@blueprint.post("/drop")
@recent_password_required
def drop() -> ResponseReturnValue:
    """Keep the present address."""
    owners.hold_signed_in(current_user.user)
    changes.drop(current_user.user)
    db.session.commit()
    flash("Your email address stays as it is.", "positive")
    return redirect(url_for("account.index"), 303)


@blueprint.route("/approve/<token>", methods=["GET", "POST"])
def approve(token: str) -> ResponseReturnValue:
    """Approve or refuse a change from the old address. Only a button uses the link up."""
    if request.method != "POST":
        waiting = changes.of_link(token, changes.OLD)
        return render_template("accounts/approve_email.html", change=waiting)
    if request.form.get("answer") == "no":
        return _refuse(token)
    return _accept(token, changes.OLD)


@blueprint.route("/confirm/<token>", methods=["GET", "POST"])
def confirm(token: str) -> ResponseReturnValue:
    """Confirm the new address, signed in to the account or with its password.

    Orders for the address then join that account. Without this check, someone who only reads the mail could give
    their orders to another account with one click.
    """
    change = changes.of_link(token, changes.NEW)
    is_theirs = current_user.is_authenticated and current_user.id == change.user_id
    form = ConfirmForm() if is_theirs else PasswordForm()
    shown = {"email": change.new_email, "account": mail.masked(change.user.email), "is_theirs": is_theirs}
    if not form.validate_on_submit():
        return page("accounts/confirm_email.html", form, **shown)
    if isinstance(form, PasswordForm):
        try:
            users.confirm_password(change.user, form.password.data)
        except InvalidInput as error:
            return refused("accounts/confirm_email.html", form, error, **shown)
    owners.hold_signed_in(change.user)
    return _accept(token, changes.NEW)


def _accept(token: str, purpose: str) -> ResponseReturnValue:
    is_made = changes.accept(token, purpose)
    db.session.commit()
    flash(CHANGED if is_made else WAITING, "positive")
    return redirect(url_for("account.index"), 303)


def _refuse(token: str) -> ResponseReturnValue:
    changes.refuse(token)
    db.session.commit()
    flash("The change is stopped and every browser is signed out. Now choose a new password.", "positive")
    return redirect(url_for("sign_in.forgot"), 303)
