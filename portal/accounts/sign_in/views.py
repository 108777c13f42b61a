"""The pages to sign up, sign in and out, and request a mailed link."""

from flask import Blueprint, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts import mailed_links, users
from portal.accounts.forms import CodeForm, ForgotForm, SignInForm, SignUpForm
from portal.accounts.responses import enter, go_on, next_path, page, refused
from portal.accounts.security import rate_limits, recovery_codes, second_factor
from portal.accounts.sign_in import sessions
from portal.accounts.sign_in.sign_up import EmailTaken, sign_up
from portal.errors import InvalidInput, NotFound
from portal.extensions import db

blueprint = Blueprint("sign_in", __name__)

FORGOT_SECONDS = 0.1

# The text of /mail-sent/<kind>, which does not reveal whether the email has an account.
SENT = {
    "reset": (
        "Check your email",
        "If there is an account with that email, a link for a new password is on its way. It works for one hour.",
    ),
}


@blueprint.route("/signup", methods=["GET", "POST"])
def signup() -> ResponseReturnValue:
    """Create an account, then return to the requested page."""
    if current_user.is_authenticated:
        return go_on()
    form = SignUpForm()
    bought = session.get("purchase_words")  # what the visitor is about to order, set by the pricing page
    if not form.validate_on_submit():
        return page("accounts/signup.html", form, plan_name=bought)
    try:
        user = sign_up(form.email.data, form.password.data, form.name.data)
    except EmailTaken as error:
        rate_limits.count_taken()
        return refused("accounts/signup.html", form, error, plan_name=bought)
    except InvalidInput as error:
        return refused("accounts/signup.html", form, error, plan_name=bought)
    return enter(user)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Sign in, then return to the requested page."""
    if current_user.is_authenticated:
        return go_on()
    form = SignInForm()
    if not form.validate_on_submit():
        return page("accounts/login.html", form)
    try:
        user = users.authenticate(form.email.data, form.password.data)
    except InvalidInput as error:
        return refused("accounts/login.html", form, error)
    return enter(user)


@blueprint.route("/login/code", methods=["GET", "POST"])
def second_step() -> ResponseReturnValue:
    """Ask for the second factor's code, within five minutes of the password."""
    user = sessions.half_signed_in()
    if user is None:
        flash("Sign in with your password first. The code is asked for after it, within five minutes.", "info")
        return redirect(url_for("sign_in.login", next=next_path()), 303)
    form = CodeForm()
    if not form.validate_on_submit():
        return page("accounts/second_step.html", form)
    rate_limits.count(user, "code")
    try:
        by_recovery_code = second_factor.check(user, form.code.data)
    except InvalidInput as error:
        return refused("accounts/second_step.html", form, error)
    sessions.sign_in(user, by_link=sessions.came_by_link())
    if by_recovery_code:
        flash(f"That recovery code is used up. You have {recovery_codes.left(user)} left.", "warning")
    db.session.commit()
    return go_on()


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out; a visitor who is already signed out sees the same page."""
    if current_user.is_authenticated:
        sessions.sign_out()
        db.session.commit()
    flash("You are signed out.", "positive")
    return redirect(url_for("sign_in.login"), 303)


@blueprint.route("/password/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    """Request a link that sets a new password."""
    form = ForgotForm()
    if not form.validate_on_submit():
        return page("accounts/forgot.html", form)
    with rate_limits.at_least(FORGOT_SECONDS):  # whether or not a mail was written
        rate_limits.count_mail(form.email.data, users.find(form.email.data))
        mailed_links.mail_reset(form.email.data)
        db.session.commit()
    return redirect(url_for("sign_in.mail_sent", kind="reset"), 303)


@blueprint.get("/mail-sent/<kind>")
def mail_sent(kind: str) -> ResponseReturnValue:
    """Say where to look after a link was mailed."""
    if kind not in SENT:
        raise NotFound("There is nothing here.")
    title, text = SENT[kind]
    back = url_for("sign_in.login")
    return render_template(
        "accounts/message.html", title=title, text=text, action_url=back, action_label="Back to sign in"
    )


@blueprint.post("/verify")
@login_required
def send_verification() -> ResponseReturnValue:
    """Mail the verification link again."""
    if current_user.verified_at is None:
        mailed_links.mail_verification(current_user.user)
        db.session.commit()
    flash("A link is on its way to your mailbox.", "positive")
    return redirect(url_for("account.index"), 303)
