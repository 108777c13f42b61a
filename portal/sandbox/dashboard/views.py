"""The start page, and a replacement for Stripe's Dashboard with its paths: lists, objects as the API returns them
with links to others, and what the sandbox is told to do. It has no sign-in: posts need a token of its own pages.
"""

import json
import re
import secrets

from flask import Blueprint, Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.keys import tenants
from portal.sandbox.api.operations import served
from portal.sandbox.api.origins import TOKEN, is_foreign
from portal.sandbox.dashboard import acts
from portal.sandbox.dashboard.places import Place, place_at
from portal.sandbox.dashboard.sections import REQUESTS, SECTIONS, moment, request_row
from portal.sandbox.pages.base import go, page
from portal.sandbox.webhooks.events import API_VERSION, public

ID = re.compile(r'"([a-z]+_\w{8,})"')
PAGE = 25  # rows
dashboard = Blueprint("dashboard", __name__)
dashboard.add_app_template_filter(moment, "moment")


@dashboard.get("/")
def start() -> Response:
    """Show what this server is, and its accounts."""
    places = [Place(tenant, mode, "") for tenant in tenants() for mode in ("test", "live")]
    config = tenants().config
    return page("start.html", config=config, version=API_VERSION, served=len(served()), places=places)


@dashboard.get("/dashboard")
def live() -> Response:
    """Show the default account's overview in live mode."""
    return show("")


@dashboard.get("/dashboard/<path:address>")
def show(address: str) -> Response:
    """Show an overview, a list, or the object at the end of a path, or that a search names."""
    place = place_at(address)
    if place.rest == "":
        return overview(place)
    if place.rest == "logs":
        rows = [request_row(made) for made in list(place.tenant.requests) if made.mode == place.mode]
        return page("dashboard_requests.html", place=place, headings=REQUESTS, rows=rows, sections=SECTIONS)
    if place.rest in SECTIONS:
        return listed(place)
    return one(place, request.args["query"] if place.rest == "search" else place.rest.rpartition("/")[2])


def overview(place: Place) -> Response:
    """Show how many of everything there are."""
    account = place.account
    sql = "SELECT count(*) FROM objects WHERE mode = ? AND type = ?"
    counts = {name: account.store.rows(sql, place.mode, each.kind)[0][0] for name, each in SECTIONS.items()}
    endpoints = [public(one) for one in account.store.select(place.mode, "webhook_endpoint")]
    return page("dashboard.html", place=place, counts=counts, sections=SECTIONS, endpoints=endpoints)


def listed(place: Place) -> Response:
    """Show a page of a list, newest first."""
    section, account = SECTIONS[place.rest], place.account
    params = {"limit": PAGE, "starting_after": request.args.get("after")}
    try:
        found = lists.page(account, section.kind, params, "", only="json_extract(json, '$.deleted') IS NULL")
    except StripeError:
        abort(404)
    rows = [{head: column(account, value) for head, column in section.columns.items()} for value in found["data"]]
    older = place.url(place.rest, after=found["data"][-1]["id"]) if found["has_more"] else None
    clocks = acts.STEPS if place.rest == "test-clocks" else {}
    return page(
        "dashboard_list.html",
        place=place,
        section=section,
        rows=rows,
        older=older,
        sections=SECTIONS,
        steps=clocks,
        token=TOKEN,
    )


def one(place: Place, id_: str) -> Response:
    """Show an object; one of another account or mode is not found, unless the path names no account."""
    account = place.account
    value = account.get(id_)
    if value is None:
        elsewhere = None if place.tenant.name else tenants().holding(id_)
        if elsewhere is None or elsewhere.mode != place.mode or elsewhere.store is account.store:
            abort(404)
        account, value = elsewhere, elsewhere.get(id_)
        place = next(Place(t, place.mode, place.rest) for t in tenants() if t.store is account.store)
    shown = public(value)
    parts = ID.split(json.dumps(shown, indent=2))  # every second one may be an id
    return page(
        "dashboard_object.html",
        place=place,
        value=shown,
        parts=parts,
        known={part for part in parts[1::2] if part != id_ and account.store.mode_of(part)},
        sent=acts.attempts(account, id_) if shown["object"] == "event" else None,
        waiting=acts.waiting(account, id_),
        steps=acts.STEPS if shown["object"] == "test_helpers.test_clock" else {},
        sections=SECTIONS,
        token=TOKEN,
    )


@dashboard.post("/dashboard/<path:address>")
def do(address: str) -> Answer | Response:
    """Resend an event, or advance or delete a test clock, and show the page again."""
    if is_foreign() or not secrets.compare_digest(request.form.get("token", "").encode(), TOKEN.encode()):
        return page("message.html", 403, heading="Not done", words="The form was not of this server's pages.")
    place = place_at(address)
    section, id_ = [*place.rest.split("/"), ""][:2]
    act = acts.ACTS.get((section, request.form.get("act", "")))
    if act is None:
        abort(404)
    account = place.account
    try:
        with account.store.transaction():
            act(account, id_, request.form)
    except StripeError as error:
        return page("message.html", error.status, heading="Not done", words=str(error))
    return go(place.url(section if account.get(id_) is None else place.rest))
