"""Shared code of the hosted pages: the account of an object's mode, formatted amounts, headers."""

import datetime as dt
import urllib.parse
from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.keys import tenants
from portal.sandbox.domain.pricing.amounts import money

Json = dict[str, Any]
pages = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"
)
pages.add_app_template_filter(money, "money")


@pages.errorhandler(StripeError)
def refused(error: StripeError) -> Response:
    """Return a page for something that is no longer possible, such as billing for a deleted customer."""
    return page("message.html", error.status, heading="This page is no longer valid", words=str(error))


def account_of(id_: str) -> Account:
    """Return the account and mode of an object; pages have no key, but the id in the URL."""
    found = tenants().holding(id_)
    if found is None:
        abort(404)
    return found


def page(template: str, status: int = 200, leads_to: tuple[str | None, ...] = (), **values: Any) -> Response:
    """Return a page with a strict policy; its forms may redirect to leads_to."""
    response = make_response(render_template(template, **values), status)
    targets = " ".join(sorted({"'self'"} | {origin(url) for url in leads_to if url}))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {targets}"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def origin(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def go(url: str) -> Answer:
    """Redirect to the next page."""
    return redirect(url, 303)


def interval(price: Json) -> str:
    """Return how often a price is charged, as text."""
    recurring = price["recurring"]
    if not recurring:
        return ""
    count = recurring["interval_count"]
    return f"per {recurring['interval']}" if count == 1 else f"every {count} {recurring['interval']}s"


pages.add_app_template_filter(interval, "interval")


def date(moment: int) -> str:
    """Return a date as text, UTC."""
    return f"{dt.datetime.fromtimestamp(moment, dt.UTC):%d %B %Y}".lstrip("0")


pages.add_app_template_filter(date, "date")
