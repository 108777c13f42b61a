"""The page of a sign-in link: one button, then a redirect."""

from flask import Blueprint, Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal.accounts.sign_in import sessions, sign_in_links
from portal.extensions import db, limiter
from portal.web import pages

blueprint = Blueprint("sign_in_links", __name__)


@blueprint.after_request
def _keep_tokens_quiet(response: Response) -> Response:
    """Send no Referer, because the URL contains a token."""
    return pages.private(response)


@blueprint.get("/sign-in/<token>")
@limiter.limit("60/minute")
def follow(token: str) -> ResponseReturnValue:
    """Show the page of a sign-in link. Only the button uses it up, because scanners open links too."""
    link = sign_in_links.holder(token)
    return render_template("accounts/sign_in_link.html", email=link.user.email)


@blueprint.post("/sign-in/<token>")
@limiter.limit("60/minute")
def enter(token: str) -> ResponseReturnValue:
    """Use the link up; a user with a second factor is asked for its code."""
    link = sign_in_links.redeem(token)
    user, onward = link.user, link.next
    if user.has_second_factor:
        sessions.sign_in_half_way(user, by_link=True)
        db.session.commit()
        return redirect(url_for("sign_in.second_step", next=onward), 303)
    sessions.sign_in(user, by_link=True)
    db.session.commit()
    return redirect(onward, 303)
