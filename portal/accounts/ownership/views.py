"""The pages of the links that verify an address, and of what waits for a verified one."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts import users
from portal.accounts.forms import (
    KEY,
    PURCHASE,
    AnswersForm,
    NewPasswordAnswersForm,
    PasswordAnswersForm,
    key_field,
    purchase_field,
)
from portal.accounts.ownership import proof, waiting_purchases
from portal.accounts.ownership.fresh_start import Ended, living_keys
from portal.accounts.ownership.proof import Answers, Case, Outcome, Way
from portal.accounts.ownership.waiting_purchases import Waiting
from portal.accounts.responses import enter, go_on, page, refused
from portal.customers import owners
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import ApiKey, User
from portal.web import pages
from portal.web.pages import datetime_text

blueprint = Blueprint("proof", __name__)

TEMPLATE = "accounts/proof.html"
FORMS: dict[Way, type[AnswersForm]] = {
    Way.CLAIM: NewPasswordAnswersForm,
    Way.CLAIM_EACH: NewPasswordAnswersForm,
    Way.ANEW: NewPasswordAnswersForm,
    Way.RESET: NewPasswordAnswersForm,
    Way.PASSWORD: PasswordAnswersForm,
    Way.MAKER: AnswersForm,
    Way.SIGN_IN: AnswersForm,
}


@blueprint.after_request
def _keep_tokens_quiet(response: Response) -> Response:
    """Send no Referer, because the URL contains a token."""
    return pages.private(response)


@blueprint.route("/verify/<token>", methods=["GET", "POST"])
def verify(token: str) -> ResponseReturnValue:
    """Verify the address of an account. Only the button uses the link up, because mail scanners open links too."""
    return _proof(token, "verify")


@blueprint.route("/claim/<token>", methods=["GET", "POST"])
def claim(token: str) -> ResponseReturnValue:
    """Verify the address of an order, and take the order over."""
    return _proof(token, "claim")


@blueprint.route("/password/reset/<token>", methods=["GET", "POST"])
def reset(token: str) -> ResponseReturnValue:
    """Set a new password, and sign in."""
    return _proof(token, "reset")


@blueprint.route("/account/purchases", methods=["GET", "POST"])
@login_required
def purchases() -> ResponseReturnValue:
    """Show what waits for the address of a verified account. An unverified account sees nothing."""
    user: User = current_user.user
    found = waiting_purchases.of(owners.waiting(user.email)) if user.is_proven else []
    if not found:
        return redirect(url_for("account.index"), 303)
    form = _form(AnswersForm, found, [])
    if not form.validate_on_submit():
        return page("accounts/purchases.html", form, waiting=found, email=user.email)
    owners.hold_signed_in(user)
    taken = proof.decide(user, Answers(form.mine(), form.kept()))
    db.session.commit()
    _say(Outcome(user, taken=taken))
    return redirect(url_for("account.index"), 303)


def _proof(token: str, purpose: str) -> ResponseReturnValue:
    signed_in = current_user.user if current_user.is_authenticated else None
    case = proof.look(token, purpose, signed_in, anew="anew" in request.args)
    found = waiting_purchases.of(case.waiting)
    is_asked = case.way not in (Way.CLAIM, Way.SIGN_IN)
    keys = living_keys(case.account) if case.account and case.way is Way.ANEW else []
    form = _form(FORMS[case.way], found if is_asked else [], keys)
    shown: dict[str, Any] = {
        "case": case,
        "purpose": purpose,
        "waiting": found,
        "keys": keys,
        "email": case.holder.email,
    }
    if case.way is Way.SIGN_IN or not form.validate_on_submit():
        return page(TEMPLATE, form, **shown)
    try:
        _confirm(case, form)
        password = form.password.data if case.way.sets_password else None
        outcome = proof.finish(token, purpose, case, Answers(form.mine(), form.kept()), password)
    except InvalidInput as error:
        return refused(TEMPLATE, form, error, **shown)
    db.session.commit()
    onward = go_on() if case.way is Way.MAKER else enter(outcome.account)
    _say(outcome)  # a new session loses earlier messages
    return onward


def _confirm(case: Case, form: AnswersForm) -> None:
    """Check the account's password, if it was entered."""
    if case.way is Way.PASSWORD and case.account:
        users.confirm_password(case.account, form["password"].data)


def _form(kind: type[AnswersForm], found: Sequence[Waiting], keys: Sequence[ApiKey]) -> AnswersForm:
    """Return the form with a question for each order and each key."""
    fields = {f"{KEY}{key.id}": key_field(_key_title(key)) for key in keys}
    for one in found:
        name = f"{PURCHASE}{one.user.id}"
        fields[name] = purchase_field(one.title)
        fields |= {f"{KEY}{key.id}": key_field(_key_title(key), name) for key in one.keys}
    form: AnswersForm = type("Questions", (kind,), fields)()
    return form


def _key_title(key: ApiKey) -> str:
    used = f"last used {datetime_text(key.last_used_at)}" if key.last_used_at else "never used"
    return f"API key {key.prefix}…, {used}"


def _say(outcome: Outcome) -> None:
    """Show the result on the next page."""
    flash("Thank you. Your email address is verified.", "positive")
    if outcome.ended:
        flash(_ended(outcome.ended), "info")
    kept = [prefix for one in outcome.taken for prefix in one.kept]
    if any(not one.held for one in outcome.taken):
        words = f" These keys keep working: {', '.join(f'{prefix}…' for prefix in kept)}." if kept else ""
        flash(f"The purchases that you made are in your account.{words}", "positive")
    if any(one.held for one in outcome.taken):
        flash("One of them has to be added by a person. We were told, and will write to you.", "warning")


def _ended(ended: Ended) -> str:
    """Return one sentence about what ended when the account began anew."""
    parts = ["every earlier sign-in"]
    parts += [f"the API key {prefix}…" for prefix in ended.keys]
    parts += ["two-factor authentication"] if ended.second_factor else []
    parts += ["a pending change of the email address"] if ended.email_change else []
    return f"Ended: {', '.join(parts)}."
