"""In place of Stripe's dashboard, at its addresses: an object as the API gives it."""

import json

from flask import Response, abort, request

from portal.sandbox.events import public
from portal.sandbox.pages.base import account_of, page, pages


@pages.get("/dashboard/<path:address>")
def dashboard(address: str) -> Response:
    """The object that an address ends with, or that it looks for; one of the other mode is not there."""
    found = request.args["query"] if "query" in request.args else address.rpartition("/")[2]
    account = account_of(found)
    if account.mode != ("test" if address.startswith("test/") else "live"):
        abort(404)
    shown = public(account.get(found))
    return page("object.html", kind=shown["object"], mode=account.mode, id=found, json=json.dumps(shown, indent=2))
