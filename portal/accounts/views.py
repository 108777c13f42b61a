"""The pages of the accounts room."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import func, select

from portal import access, pages
from portal.accounts import links, people, sessions
from portal.accounts.forms import ForgotForm, NewPasswordForm, RoomForm, SignInForm, SignUpForm
from portal.accounts.redirects import local_path
from portal.accounts.signup import Unclaimed, sign_up
from portal.errors import InvalidInput, NotFound
from portal.extensions import db
from portal.models import ApiKey, Customer, User, UserSession
from portal.purchases import customers

blueprint = Blueprint("accounts", __name__)

SEE_OTHER = 303
BAD_REQUEST = 400

# What /mail-sent/<kind> says: the same whether the mail has an account or not.
SENT = {
    "reset": (
        "Check your mail",
        "If there is an account with that email, a link for a new password is on its way. It works for one hour.",
    ),
    "claim": (
        "You have an account already",
        "A payment with that email made an account for you. We mailed you a link that gives it a password. "
        "It works for seven days.",
    ),
}


@blueprint.after_request
def _keep_tokens_quiet(response: Response) -> Response:
    """No Referer names an address that holds a token."""
    return pages.private(response) if "token" in (request.view_args or {}) else response


@blueprint.route("/signup", methods=["GET", "POST"])
def signup() -> ResponseReturnValue:
    """Create an account, then go on to where it was asked for."""
    if current_user.is_authenticated:
        return _go_on()
    form = SignUpForm()
    bought = session.get("purchase_words")  # what the visitor is about to buy, as the pricing page put it there
    if not form.validate_on_submit():
        return _page("signup", form, plan_name=bought)
    try:
        user = sign_up(form.email.data, form.password.data, form.name.data)
    except InvalidInput as refused:
        return _refused("signup", form, refused, plan_name=bought)
    except Unclaimed as found:
        return _mail_claim(found.user)
    return _enter(user)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Sign in, then go on to where it was asked for."""
    if current_user.is_authenticated:
        return _go_on()
    form = SignInForm()
    if not form.validate_on_submit():
        return _page("login", form)
    try:
        user = people.authenticate(form.email.data, form.password.data)
    except InvalidInput as refused:
        return _refused("login", form, refused)
    return _enter(user)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out; whoever is signed out already is told the same."""
    if current_user.is_authenticated:
        sessions.sign_out()
        db.session.commit()
    flash("You are signed out.", "success")
    return redirect(url_for("accounts.login"), SEE_OTHER)


@blueprint.route("/password/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    """Ask for a link that sets a new password."""
    form = ForgotForm()
    if not form.validate_on_submit():
        return _page("forgot", form)
    links.mail_reset(form.email.data)
    db.session.commit()
    return redirect(url_for("accounts.mail_sent", kind="reset"), SEE_OTHER)


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


@blueprint.route("/password/reset/<token>", methods=["GET", "POST"])
def reset(token: str) -> ResponseReturnValue:
    """Set a new password by a mailed link; sign in with it afterwards."""
    return _new_password(token, "reset")


@blueprint.route("/claim/<token>", methods=["GET", "POST"])
def claim(token: str) -> ResponseReturnValue:
    """Give an account that a payment made its password; that signs in."""
    return _new_password(token, "claim")


@blueprint.route("/verify/<token>", methods=["GET", "POST"])
def verify(token: str) -> ResponseReturnValue:
    """Verify a mail address. Only the button uses the link up: mail scanners open links too."""
    if request.method != "POST":
        return render_template("accounts/verify.html", email=links.owner(token, "verify").email)
    links.verify(token)
    db.session.commit()
    flash("Thank you, your email address is verified.", "success")
    return redirect(url_for("accounts.index"), SEE_OTHER)


@blueprint.post("/verify")
@login_required
def send_verification() -> ResponseReturnValue:
    """Mail the verification link again."""
    if current_user.verified_at is None:
        links.mail_verification(current_user.user)
        db.session.commit()
    flash("A link is on its way to your mailbox.", "success")
    return redirect(url_for("accounts.index"), SEE_OTHER)


@blueprint.get("/account")
@login_required
def index() -> ResponseReturnValue:
    """The account at a glance."""
    user: User = current_user.user
    customer, key_count = _customer_and_keys(user)
    return render_template(
        "accounts/index.html",
        user=user,
        verified=user.verified_at is not None,
        plan_name=access.of(customer).plan_name,
        key_count=key_count,
        sessions=[_browser(row) for row in sessions.living(user)],
    )


def _browser(row: UserSession) -> dict[str, Any]:
    return {
        "created_at": row.created_at,
        "last_seen_at": row.last_seen_at,
        "user_agent": row.user_agent,
        "current": row.id == current_user.session.id,
    }


def _customer_and_keys(user: User) -> tuple[Customer | None, int]:
    """The user's live customer and how many keys work, in one statement."""
    keys = select(func.count()).where(ApiKey.customer_id == Customer.id, ApiKey.revoked_at.is_(None))
    query = select(Customer, keys.scalar_subquery()).where(Customer.user_id == user.id, Customer.mode == "live")
    row = db.session.execute(query).one_or_none()
    return (customers.remember(row[0]), row[1]) if row else (None, 0)


def _new_password(token: str, purpose: str) -> ResponseReturnValue:
    user = links.owner(token, purpose)
    form = NewPasswordForm()
    if not form.validate_on_submit():
        return _page("reset", form, purpose=purpose, email=user.email)
    try:
        links.set_password(token, purpose, form.password.data)
    except InvalidInput as refused:
        return _refused("reset", form, refused, purpose=purpose, email=user.email)
    if purpose == "claim":
        return _enter(user)
    db.session.commit()
    flash("Your new password is set. Sign in with it.", "success")
    return redirect(url_for("accounts.login"), SEE_OTHER)


def _next() -> str | None:
    return local_path(request.values.get("next"), "") or None


def _go_on() -> ResponseReturnValue:
    return redirect(_next() or url_for("accounts.index"), SEE_OTHER)


def _enter(user: User) -> ResponseReturnValue:
    sessions.sign_in(user)
    db.session.commit()
    return _go_on()


def _mail_claim(user: User) -> ResponseReturnValue:
    links.mail_claim(user)
    db.session.commit()
    return redirect(url_for("accounts.mail_sent", kind="claim"), SEE_OTHER)


def _page(name: str, form: RoomForm, status: int | None = None, **context: Any) -> ResponseReturnValue:
    html = render_template(f"accounts/{name}.html", form=form, next=_next(), **context)
    return html, status or (BAD_REQUEST if form.is_submitted() else 200)


def _refused(name: str, form: RoomForm, refused: InvalidInput, **context: Any) -> ResponseReturnValue:
    db.session.rollback()  # a page is not rendered while a lock is held
    form.show(refused)
    return _page(name, form, refused.status, **context)
