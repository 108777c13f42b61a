"""The doors: signing up, in and out, and asking for a mailed link."""

from flask import Blueprint, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts import limits, links, people, recovery, second_factor, sessions
from portal.accounts.answers import go_on, next_path, page, refused
from portal.accounts.entry import enter
from portal.accounts.forms import CodeForm, ForgotForm, SignInForm, SignUpForm
from portal.accounts.signup import EmailTaken, sign_up
from portal.errors import InvalidInput, NotFound
from portal.extensions import db

blueprint = Blueprint("accounts", __name__)

FORGOT_SECONDS = 0.1

# What /mail-sent/<kind> says: the same whether the mail has an account or not.
SENT = {
    "reset": (
        "Check your mail",
        "If there is an account with that email, a link for a new password is on its way. It works for one hour.",
    ),
}


@blueprint.route("/signup", methods=["GET", "POST"])
def signup() -> ResponseReturnValue:
    """Create an account, then go on to where it was asked for."""
    if current_user.is_authenticated:
        return go_on()
    form = SignUpForm()
    bought = session.get("purchase_words")  # what the visitor is about to buy, as the pricing page put it there
    if not form.validate_on_submit():
        return page("accounts/signup.html", form, plan_name=bought)
    try:
        user = sign_up(form.email.data, form.password.data, form.name.data)
    except EmailTaken as error:
        limits.count_taken()
        return refused("accounts/signup.html", form, error, plan_name=bought)
    except InvalidInput as error:
        return refused("accounts/signup.html", form, error, plan_name=bought)
    return enter(user)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Sign in, then go on to where it was asked for."""
    if current_user.is_authenticated:
        return go_on()
    form = SignInForm()
    if not form.validate_on_submit():
        return page("accounts/login.html", form)
    try:
        user = people.authenticate(form.email.data, form.password.data)
    except InvalidInput as error:
        return refused("accounts/login.html", form, error)
    return enter(user)


@blueprint.route("/login/code", methods=["GET", "POST"])
def second_step() -> ResponseReturnValue:
    """The second factor's code, within five minutes of the password."""
    user = sessions.half_signed_in()
    if user is None:
        flash("Sign in with your password first. The code is asked for after it, within five minutes.", "info")
        return redirect(url_for("accounts.login", next=next_path()), 303)
    form = CodeForm()
    if not form.validate_on_submit():
        return page("accounts/second_step.html", form)
    limits.count(user, "code")
    try:
        by_recovery_code = second_factor.check(user, form.code.data)
    except InvalidInput as error:
        return refused("accounts/second_step.html", form, error)
    sessions.sign_in(user, by_link=sessions.came_by_link())
    if by_recovery_code:
        flash(f"That recovery code is used up. You have {recovery.left(user)} left.", "warning")
    db.session.commit()
    return go_on()


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out; whoever is signed out already is told the same."""
    if current_user.is_authenticated:
        sessions.sign_out()
        db.session.commit()
    flash("You are signed out.", "positive")
    return redirect(url_for("accounts.login"), 303)


@blueprint.route("/password/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    """Ask for a link that sets a new password."""
    form = ForgotForm()
    if not form.validate_on_submit():
        return page("accounts/forgot.html", form)
    with limits.at_least(FORGOT_SECONDS):  # whether there was a mail to write or not
        limits.count_mail(form.email.data, people.find(form.email.data))
        links.mail_reset(form.email.data)
        db.session.commit()
    return redirect(url_for("accounts.mail_sent", kind="reset"), 303)


@blueprint.get("/mail-sent/<kind>")
def mail_sent(kind: str) -> ResponseReturnValue:
    """Where to look next after a link was mailed."""
    if kind not in SENT:
        raise NotFound("There is nothing here.")
    title, text = SENT[kind]
    back = url_for("accounts.login")
    return render_template(
        "accounts/message.html", title=title, text=text, action_url=back, action_label="Back to sign in"
    )


@blueprint.post("/verify")
@login_required
def send_verification() -> ResponseReturnValue:
    """Mail the verification link again."""
    if current_user.verified_at is None:
        links.mail_verification(current_user.user)
        db.session.commit()
    flash("A link is on its way to your mailbox.", "positive")
    return redirect(url_for("account.index"), 303)
