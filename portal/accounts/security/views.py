"""The pages for password, second factor and sessions."""

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts import users
from portal.accounts.forms import ChangePasswordForm, CodeForm, PasswordForm, TurnOffForm
from portal.accounts.responses import go_on, next_path, page, refused
from portal.accounts.security import rate_limits, recovery_codes, second_factor
from portal.accounts.security.password_prompt import recent_password_required
from portal.accounts.sign_in import sessions
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import User
from portal.web import pages

blueprint = Blueprint("security", __name__, url_prefix="/account")


@blueprint.route("/confirm", methods=["GET", "POST"])
@login_required
def confirm() -> ResponseReturnValue:
    """Ask for the password again before a sensitive action, then continue."""
    form = PasswordForm()
    if not form.validate_on_submit():
        return page("accounts/confirm.html", form)
    try:
        users.confirm_password(current_user.user, form.password.data)
    except InvalidInput as error:
        return refused("accounts/confirm.html", form, error)
    sessions.confirmed(current_user.session)
    db.session.commit()
    return go_on()


@blueprint.route("/password", methods=["GET", "POST"])
@login_required
def password() -> ResponseReturnValue:
    """Change the password and sign out every other browser."""
    form = ChangePasswordForm()
    if not form.validate_on_submit():
        return page("accounts/password.html", form)
    user: User = current_user.user
    try:
        users.change_password(user, form.current.data, form.password.data)
    except InvalidInput as error:
        return refused("accounts/password.html", form, error)
    sessions.sign_in(user)
    db.session.commit()
    flash("Your new password is set, and every other browser is signed out.", "positive")
    return redirect(url_for("account.index"), 303)


@blueprint.post("/sessions/<int:browser_id>/end")
@login_required
def end_session(browser_id: int) -> ResponseReturnValue:
    """Sign one browser out."""
    sessions.end_one(current_user.user, browser_id)
    db.session.commit()
    flash("That browser is signed out.", "positive")
    return redirect(url_for("account.index"), 303)


@blueprint.post("/sessions/end")
@login_required
def end_sessions() -> ResponseReturnValue:
    """Sign every browser out, including this one."""
    sessions.end_everywhere(current_user.user)
    db.session.commit()
    flash("You are signed out everywhere.", "positive")
    return redirect(url_for("sign_in.login"), 303)


@blueprint.get("/second-factor")
@login_required
def factor() -> ResponseReturnValue:
    """Show whether sign-in asks for a code, and the available actions."""
    left = recovery_codes.left(current_user.user) if current_user.has_second_factor else 0
    return render_template("accounts/second_factor.html", user=current_user.user, left=left, next=next_path())


@blueprint.post("/second-factor")
@recent_password_required
def begin_factor() -> ResponseReturnValue:
    """Create a secret for an app."""
    second_factor.begin(current_user.user)
    db.session.commit()
    return redirect(url_for("security.set_up_factor", next=next_path()), 303)


@blueprint.route("/second-factor/app", methods=["GET", "POST"])
@recent_password_required
def set_up_factor() -> ResponseReturnValue:
    """Show the secret for the app; its first code turns the second factor on."""
    enrolment = second_factor.enrolment(current_user.user)
    if enrolment is None:
        return redirect(url_for("security.factor", next=next_path()), 303)
    form = CodeForm()
    if not form.validate_on_submit():
        return page("accounts/set_up_factor.html", form, enrolment=enrolment)
    rate_limits.count(current_user.user, "code")
    try:
        codes = second_factor.turn_on(current_user.user, form.code.data)
    except InvalidInput as error:
        return refused("accounts/set_up_factor.html", form, error, enrolment=enrolment)
    db.session.commit()
    return _recovery_codes(codes)


@blueprint.post("/second-factor/recovery-codes")
@recent_password_required
def new_recovery_codes() -> ResponseReturnValue:
    """Create new recovery codes; the old ones are void."""
    codes = second_factor.new_recovery_codes(current_user.user)
    db.session.commit()
    return _recovery_codes(codes)


@blueprint.route("/second-factor/off", methods=["GET", "POST"])
@login_required
def turn_factor_off() -> ResponseReturnValue:
    """Turn the second factor off."""
    if not current_user.has_second_factor:
        return redirect(url_for("security.factor"), 303)
    form = TurnOffForm()
    if not form.validate_on_submit():
        return page("accounts/turn_factor_off.html", form)
    rate_limits.count(current_user.user, "code")
    try:
        second_factor.turn_off(current_user.user, form.password.data, form.code.data)
    except InvalidInput as error:
        return refused("accounts/turn_factor_off.html", form, error)
    db.session.commit()
    flash("The second factor is off. Sign-in asks for your password alone.", "positive")
    return redirect(url_for("security.factor"), 303)


def _recovery_codes(codes: list[str]) -> ResponseReturnValue:
    """Render the codes, in the only response that contains them."""
    onward = next_path() or url_for("security.factor")
    return pages.private(Response(render_template("accounts/recovery_codes.html", codes=codes, onward=onward)))
