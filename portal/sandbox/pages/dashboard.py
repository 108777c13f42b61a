"""A replacement for Stripe's Dashboard, with its URLs: an object as the API returns it, with links to others."""

import json
import re

from flask import Response, abort, request

from portal.sandbox.pages.base import account_of, page, pages
from portal.sandbox.webhooks.events import public

ID = re.compile(r'"([a-z]+_\w{8,})"')


@pages.get("/dashboard/<path:address>")
def dashboard(address: str) -> Response:
    """Show the object at the end of a URL, or that it searches for; one of the other mode is not found."""
    found = request.args["query"] if "query" in request.args else address.rpartition("/")[2]
    account = account_of(found)
    lane = "test/" if account.mode == "test" else ""
    if address.startswith("test/") != bool(lane):
        abort(404)
    shown = public(account.get(found))
    parts = ID.split(json.dumps(shown, indent=2))  # every second one may be an id
    known = {part for part in parts[1::2] if part != found and account.store.mode_of(part)}
    return page(
        "object.html", kind=shown["object"], mode=account.mode, lane=lane, id=found, parts=parts, known=known
    )
