"""Who may come in, and what an action asks for.

To anyone but admins and support nothing is here: every address under ADMIN_PATH answers as one that never was.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Flask, flash, g, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import generate_csrf

from portal import audit, callers, calls
from portal.accounts import second_factor
from portal.accounts.confirmation import recent_password_required
from portal.errors import NotFound, PortalError, Unauthorised
from portal.extensions import csrf, db
from portal.models import User

Params = ParamSpec("Params")
View = Callable[Params, ResponseReturnValue]


class AdminsOnly(PortalError):
    """Support reads and replays; money and access are moved by admins."""

    status = 403
    code = "admins_only"
    title = "Only admins may do that"


def init_app(app: Flask, path: str) -> None:
    """Guard every address under this path, those that do not exist and methods that do not fit too."""

    @app.before_request
    def _guard() -> ResponseReturnValue | None:
        if request.path == path or request.path.startswith(f"{path}/"):
            return _admit()
        return None


def _admit() -> ResponseReturnValue | None:
    """Let who works here pass, a form only with its token, and nobody without the second factor that is due."""
    if not (current_user.is_authenticated and (current_user.is_admin or current_user.is_support)):
        raise NotFound("There is nothing here, or it belongs to another account.")
    csrf.protect()
    if second_factor.admin_ready(current_user.user):
        return None
    flash("The admin pages need a second factor. Set it up once, here.", "warning")
    return redirect(url_for("security.factor"), 303)


def admin_required(view: View[Params]) -> View[Params]:
    """For JSON: an admin's access token, or session with its CSRF token in `X-CSRFToken`. Raises NotFound."""

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
    """Whose access token was sent; None for an API key and for what is neither."""
    try:
        caller = callers.authenticate(request.headers["Authorization"])
    except Unauthorised:
        return None
    g.caller = caller
    return None if caller.key_id else db.session.get(User, caller.user_id)


def admins_only(view: View[Params]) -> View[Params]:
    """For what makes or changes something of a customer's. Raises AdminsOnly for support."""

    @wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        if not current_user.is_admin:
            db.session.rollback()  # a page's transaction may only read
            audit.record("admin_action.refused", subject=request.endpoint or "")
            db.session.commit()
            raise AdminsOnly("Support can look and replay. Ask an admin for this.")
        return view(*args, **kwargs)

    return guarded


def sensitive(view: View[Params]) -> View[Params]:
    """For what moves a customer's money or access: admins only, who gave their password a moment ago."""
    return admins_only(recent_password_required(view))
