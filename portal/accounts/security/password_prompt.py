"""Asking for the password again before sensitive actions, in case the browser was left unattended."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts.sign_in import sessions

Params = ParamSpec("Params")


def recent_password_required(
    view: Callable[Params, ResponseReturnValue],
) -> Callable[Params, ResponseReturnValue]:
    """Make a view ask for the password, if it was not entered within ten minutes, and then return to the view.

    A POST is not repeated: it returns to the page that it was sent from.
    """

    @wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        if sessions.recent_password(current_user.session):
            return view(*args, **kwargs)
        return redirect(url_for("security.confirm", next=_page_asked_for()), 303)

    guard: Callable[Params, ResponseReturnValue] = login_required(guarded)
    return guard


def _page_asked_for() -> str | None:
    if request.method == "GET":
        return request.full_path.rstrip("?")
    sent_from = urlsplit(request.referrer or "")
    return f"{sent_from.path}?{sent_from.query}".rstrip("?") or None
