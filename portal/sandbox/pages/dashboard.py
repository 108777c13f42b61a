"""In place of Stripe's dashboard, at its addresses: an object as the API gives it, leading to what it names."""

import json
import re

from flask import Response, abort, request

from portal.sandbox.api.operations import store
from portal.sandbox.pages.base import account_of, page, pages
from portal.sandbox.webhooks.events import public

ID = re.compile(r'"([a-z]+_\w{8,})"')


@pages.get("/dashboard/<path:address>")
def dashboard(address: str) -> Response:
    """The object that an address ends with, or that it looks for; one of the other mode is not there."""
    found = request.args["query"] if "query" in request.args else address.rpartition("/")[2]
    account = account_of(found)
    lane = "test/" if account.mode == "test" else ""
    if address.startswith("test/") != bool(lane):
        abort(404)
    shown = public(account.get(found))
    parts = ID.split(json.dumps(shown, indent=2))  # every second one may be an id
    known = {part for part in parts[1::2] if part != found and store().mode_of(part)}
    return page(
        "object.html", kind=shown["object"], mode=account.mode, lane=lane, id=found, parts=parts, known=known
    )
