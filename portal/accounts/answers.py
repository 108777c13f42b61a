"""How the room's views answer: a page with its form, the form come back, or on to where one was going."""

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts.forms import RoomForm
from portal.accounts.redirects import local_path
from portal.errors import InvalidInput
from portal.extensions import db

BAD_REQUEST = 400


def page(template: str, form: RoomForm, status: int | None = None, **context: Any) -> ResponseReturnValue:
    """The page of a form; 400 where it was sent and did not fit."""
    html = render_template(template, form=form, next=next_path(), **context)
    return html, status or (BAD_REQUEST if form.is_submitted() else 200)


def refused(template: str, form: RoomForm, error: InvalidInput, **context: Any) -> ResponseReturnValue:
    """The page of a form with what a verb refused, at the field that it is about."""
    db.session.rollback()  # a page is not rendered while a lock is held
    form.show(error)
    return page(template, form, error.status, **context)


def next_path() -> str | None:
    """Where the reader was going, if that is a path of this portal."""
    return local_path(request.values.get("next"), "") or None


def go_on() -> ResponseReturnValue:
    """On to where the reader was going, else to the account page."""
    return redirect(next_path() or url_for("account.index"), 303)
