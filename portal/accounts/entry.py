"""Coming in: signed in, or asked for the second factor's code first."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import sessions
from portal.accounts.answers import go_on, next_path
from portal.extensions import db
from portal.models import User


def enter(user: User) -> ResponseReturnValue:
    """Sign in; whoever has a second factor is asked for its code first. Commits."""
    if user.has_second_factor:
        sessions.sign_in_half_way(user)
        db.session.commit()
        return redirect(url_for("accounts.second_step", next=next_path()), 303)
    sessions.sign_in(user)
    db.session.commit()
    return go_on()
