"""Changing the mail address: the form, and the pages of the two mailed links."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import pages
from portal.accounts import email_change
from portal.accounts.answers import page, refused
from portal.accounts.confirmation import recent_password_required
from portal.accounts.forms import NewEmailForm
from portal.errors import Conflict, InvalidInput
from portal.extensions import db

blueprint = Blueprint("email", __name__, url_prefix="/account/email")

WAITING = "Thank you. The address changes once the other one has confirmed it too."
ASKED = "We mailed a link to both addresses. The change waits for both."
ASKED_NEW = "We mailed a link to the new address. Follow it here, or sign in where you open it."
CHANGED = "Your email address is changed."


@blueprint.after_request
def _keep_tokens_quiet(response: Response) -> Response:
    """No Referer names an address that holds a token."""
    return pages.private(response)


@blueprint.route("", methods=["GET", "POST"])
@recent_password_required
def change() -> ResponseReturnValue:
    """Ask for another mail address."""
    form = NewEmailForm()
    shown = {"waiting": email_change.pending(current_user.user), "proven": current_user.user.is_proven}
    if not form.validate_on_submit():
        return page("accounts/email.html", form, **shown)
    try:
        email_change.request(current_user.user, form.email.data)
    except InvalidInput as error:
        return refused("accounts/email.html", form, error, **shown)
    db.session.commit()
    flash(ASKED if current_user.user.is_proven else ASKED_NEW, "positive")
    return redirect(url_for("email.change"), 303)


@blueprint.post("/drop")
@recent_password_required
def drop() -> ResponseReturnValue:
    """Keep the address that there is."""
    email_change.drop(current_user.user)
    db.session.commit()
    flash("Your email address stays as it is.", "positive")
    return redirect(url_for("account.index"), 303)


@blueprint.route("/approve/<token>", methods=["GET", "POST"])
def approve(token: str) -> ResponseReturnValue:
    """The old address says yes, or that it was somebody else. Only a button uses the link up."""
    if request.method != "POST":
        waiting = email_change.of_link(token, email_change.OLD)
        return render_template("accounts/approve_email.html", change=waiting)
    if request.form.get("answer") == "no":
        return _refuse(token)
    return _accept(token, email_change.OLD)


@blueprint.route("/confirm/<token>", methods=["GET", "POST"])
def confirm(token: str) -> ResponseReturnValue:
    """The new address says that it is theirs.

    Where the account has proven none yet, this is its first proof, which only somebody in the account gives:
    whoever else reads the mail would verify an account that somebody else can sign in to.
    """
    change = email_change.of_link(token, email_change.NEW)
    if not change.user.is_proven and not current_user.is_authenticated:
        flash("Sign in to the account that asked for this address, then confirm it.", "info")
        return redirect(url_for("accounts.login", next=request.path), 303)
    if not change.user.is_proven and current_user.id != change.user_id:
        raise Conflict("You are signed in to another account. Sign out, then open the link again.")
    if request.method != "POST":
        return render_template("accounts/confirm_email.html", email=change.new_email)
    return _accept(token, email_change.NEW)


def _accept(token: str, purpose: str) -> ResponseReturnValue:
    is_made = email_change.accept(token, purpose)
    db.session.commit()
    flash(CHANGED if is_made else WAITING, "positive")
    return redirect(url_for("account.index"), 303)


def _refuse(token: str) -> ResponseReturnValue:
    email_change.refuse(token)
    db.session.commit()
    flash("The change is stopped and every browser is signed out. Now choose a new password.", "positive")
    return redirect(url_for("accounts.forgot"), 303)
