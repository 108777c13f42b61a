"""3-D Secure for payment and setup intents that were confirmed through the API."""

from typing import Any

from flask import Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import payment_intents, settlements
from portal.sandbox.pages.base import account_of, go, page, pages
from portal.sandbox.resources import setup_intents

Json = dict[str, Any]


@pages.get("/3ds/<intent_id>")
def show_3ds(intent_id: str) -> Response:
    _, intent = waiting(intent_id)
    return page("authenticate.html", leads_to=(intent["_"].get("return_url"),))


@pages.post("/3ds/<intent_id>")
def submit_3ds(intent_id: str) -> Response | Answer:
    account, intent = waiting(intent_id)
    try:
        with account.store.transaction():
            answer(account, intent, request.form.get("answer") == "complete")
        words = "Your bank has confirmed that it was you."
    except StripeError as error:
        words = str(error)
    back = intent["_"].get("return_url")
    return go(back) if back else page("message.html", heading="Authentication", words=words)


def answer(account: Account, intent: Json, passed: bool) -> None:
    """Record the cardholder's answer. Raises StripeError if it was no."""
    if intent["object"] == "payment_intent":
        settlements.authenticate(account, intent, passed)
    elif passed:
        setup_intents.saved(account, intent, account.find("payment_method", intent["payment_method"]))
    else:
        setup_intents.failed(account, intent, payment_intents.UNABLE)


def waiting(intent_id: str) -> tuple[Account, Json]:
    """Return an intent that waits for its cardholder, or raise 404."""
    account = account_of(intent_id)
    intent = account.get(intent_id) or {}
    if intent.get("status") != "requires_action":
        abort(404)
    return account, intent
