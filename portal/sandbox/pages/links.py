"""Payment links: each visit creates a checkout session."""

from flask import Response, abort
from werkzeug.wrappers import Response as Answer

from portal.sandbox.api.errors import StripeError
from portal.sandbox.pages.base import account_of, go, page, pages
from portal.sandbox.resources import payment_links


@pages.get("/p/<token>")
def open_link(token: str) -> Response | Answer:
    account = account_of(f"plink_{token}")
    link = account.get(f"plink_{token}")
    if link is None:
        abort(404)
    if not link["active"]:
        words = link["inactive_message"] or "Its owner has switched it off."
        return page("message.html", 410, heading="This link is no longer active", words=words)
    try:
        with account.store.transaction():
            session = payment_links.begin(account, link)
    except StripeError:
        words = "What it sold is not on sale any more. You were not charged."
        return page("message.html", 410, heading="This link is no longer valid", words=words)
    return go(session["url"])
