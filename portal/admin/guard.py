"""Who may come in, and what an action asks for.

To anyone but admins and support nothing is here: every address under ADMIN_PATH answers as one that never was.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Flask, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.errors import NotFound, PortalError
from portal.extensions import csrf

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
            admit()
        return None


def admit() -> None:
    """Let admins and support pass, and a form only with its token. Raises NotFound, CSRFError."""
    if not (current_user.is_authenticated and current_user.is_admin):
        raise NotFound("There is nothing here, or it belongs to another account.")
    csrf.protect()


def admins_only(view: View[Params]) -> View[Params]:
    """For what moves money or access. Raises AdminsOnly for support."""

    @wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        if not current_user.is_admin:
            raise AdminsOnly("Support can look and replay. Ask an admin for this.")
        return view(*args, **kwargs)

    return guarded
