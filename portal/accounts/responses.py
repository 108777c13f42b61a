"""The responses of the room's views: a page with its form, the form with errors, a redirect, or a sign-in."""

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts.forms import RoomForm
from portal.accounts.sign_in import sessions
from portal.accounts.sign_in.redirects import local_path
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import User

BAD_REQUEST = 400


def page(template: str, form: RoomForm, status: int | None = None, **context: Any) -> ResponseReturnValue:
    """Render the page of a form, with status 400 if the submitted form was invalid."""
    html = render_template(template, form=form, next=next_path(), **context)
    return html, status or (BAD_REQUEST if form.is_submitted() else 200)


def refused(template: str, form: RoomForm, error: InvalidInput, **context: Any) -> ResponseReturnValue:
    """Render the page of a form with an error beside the field that it is about."""
    db.session.rollback()  # a page is not rendered while a lock is held
    form.show(error)
    return page(template, form, error.status, **context)


def next_path() -> str | None:
    """Return the path that the reader wanted, if it belongs to this portal."""
    return local_path(request.values.get("next"), "") or None


def go_on() -> ResponseReturnValue:
    """Redirect to the path that the reader wanted, else to the account page."""
    return redirect(next_path() or url_for("account.index"), 303)


def enter(user: User) -> ResponseReturnValue:
    """Sign in; a user with a second factor is asked for its code first. Commits."""
    if user.has_second_factor:
        sessions.sign_in_half_way(user)
        db.session.commit()
        return redirect(url_for("sign_in.second_step", next=next_path()), 303)
    sessions.sign_in(user)
    db.session.commit()
    return go_on()
