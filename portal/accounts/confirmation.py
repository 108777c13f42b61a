"""Asking for the password once more, before what a browser left open must not do."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts import sessions

Params = ParamSpec("Params")


def recent_password_required(
    view: Callable[Params, ResponseReturnValue],
) -> Callable[Params, ResponseReturnValue]:
    """For views of signed-in people: who gave no password within ten minutes is asked for it, then led back.

    A POST is not repeated: it leads back to the page that it was sent from.
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
