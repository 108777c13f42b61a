"""Who may use the admin pages, and what an action requires.

To anyone but staff, every URL under ADMIN_PATH responds as if it didn't exist.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Flask, flash, g, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import generate_csrf

from portal import audit
from portal.accounts.security import second_factor
from portal.accounts.security.password_prompt import recent_password_required
from portal.admin.forms import LONGEST_REASON, ReasonForm
from portal.api import authentication, calls
from portal.errors import InvalidInput, NotFound, PortalError, Unauthorized
from portal.extensions import csrf, db
from portal.models import User

Params = ParamSpec("Params")
View = Callable[Params, ResponseReturnValue]


class AdminsOnly(PortalError):
    """Support can read and replay; only admins can change money and access."""

    status = 403
    code = "admins_only"
    title = "Only admins may do that"


def init_app(app: Flask, path: str) -> None:
    """Guard every URL under this path, including unknown URLs and methods."""

    @app.before_request
    def _guard() -> ResponseReturnValue | None:
        if request.path == path or request.path.startswith(f"{path}/"):
            return _admit()
        return None


def _admit() -> ResponseReturnValue | None:
    """Admit staff, a form only with its token, and nobody without a required second factor."""
    if not (current_user.is_authenticated and (current_user.is_admin or current_user.is_support)):
        raise NotFound("There is nothing here, or it belongs to another account.")
    csrf.protect()
    if second_factor.admin_ready(current_user.user):
        return None
    flash("The admin pages need a second factor. Set it up once, here.", "warning")
    return redirect(url_for("security.factor"), 303)


def admin_required(view: View[Params]) -> View[Params]:
    """Guard a JSON view: an admin's access token, or a session with its CSRF token in `X-CSRFToken`. Raises
    NotFound.
    """

    @wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        by_token = "Authorization" in request.headers
        user = _token_s_user() if by_token else current_user.is_authenticated and current_user.user
        if not (user and user.is_admin and second_factor.admin_ready(user)):
            raise NotFound("There is nothing here, or it belongs to another account.")
        if not by_token:
            csrf.protect()
        answer = make_response(view(*args, **kwargs))
        if not by_token:
            answer.headers["X-CSRFToken"] = generate_csrf()  # for the next call
        return answer

    calls.note(guarded, by=("bearer", "session"), refusals=(NotFound,))
    return guarded


def _token_s_user() -> User | None:
    """Return the user of the access token; None for an API key or anything else."""
    try:
        caller = authentication.authenticate(request.headers["Authorization"])
    except Unauthorized:
        return None
    g.caller = caller
    return None if caller.key_id else db.session.get(User, caller.user_id)


def admins_only(view: View[Params]) -> View[Params]:
    """Guard a view that creates or changes customer data. Raises AdminsOnly for support."""

    @wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        if not current_user.is_admin:
            db.session.rollback()  # a page's transaction may be read-only
            audit.record("admin_action.refused", subject=request.endpoint or "")
            db.session.commit()
            raise AdminsOnly("Support can look and replay. Ask an admin for this.")
        return view(*args, **kwargs)

    return guarded


def sensitive(view: View[Params]) -> View[Params]:
    """Guard a view that changes a customer's money or access: only admins who entered their password recently.

    Its form has the field of ReasonForm, whose text is stored in every audit entry that the view writes.
    """

    @wraps(view)
    def reasoned(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        with audit.because(request.form.get("reason", "").strip()[:LONGEST_REASON]):
            return view(*args, **kwargs)

    return admins_only(recent_password_required(reasoned))


def require_reason() -> None:
    """Refuse a form of only a button and a reason if the reason is missing. Raises InvalidInput."""
    form = ReasonForm()
    if not form.validate_on_submit():
        raise InvalidInput(
            "Say why, in up to 255 characters. Nothing was changed.", errors={"reason": "missing or too long"}
        )
