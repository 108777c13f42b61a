"""Setup intents: saving a card for later."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.payments import cards, payment_methods
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]


@operation("POST", "/v1/setup_intents")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    if params.get("customer"):
        account.find("customer", params["customer"], "customer")
    method = payment_methods.method_of(account, params["payment_method"]) if params.get("payment_method") else None
    id_ = account.new_id("setup_intent")
    defaults = {
        "id": id_,
        "client_secret": f"{id_}_secret_{account.new_id('item')[3:]}",
        "metadata": {},
        "payment_method": method["id"] if method else None,
        "payment_method_options": {},
        "payment_method_types": params.get("payment_method_types")
        or params.get("allowed_payment_method_types")
        or ["card"],
        "status": "requires_confirmation" if method else "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
    fields = {name: params[name] for name in ("customer", "description", "metadata") if name in params}
    intent = account.add("setup_intent", defaults | fields, "setup_intent.created")
    return confirmed(account, intent, method) if params.get("confirm") else intent


def confirmed(account: Account, intent: Json, method: Json | None) -> Json:
    """Save the card, or ask its holder first. Raises StripeError if it is declined."""
    if method is None:
        words = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise StripeError(words, code="setup_intent_unexpected_state")
    if method["_"].get("attach"):
        raise refused(account, intent, method)
    if method["type"] == "card" and payment_methods.needs_authentication(method):
        url = f"{account.config.pages}/3ds/{intent['id']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}
        changes = {"status": "requires_action", "next_action": action, "payment_method": method["id"]}
        account.change(intent, changes)
        account.emit("setup_intent.requires_action", intent)
        return intent
    return saved(account, intent, method)


def refused(account: Account, intent: Json, method: Json) -> StripeError:
    """Record a card that can't be saved, and return the error for the caller to raise."""
    error = cards.declined(method["_"]["attach"])
    account.change(intent, {"status": "requires_payment_method", "last_setup_error": error.answer()["error"]})
    account.emit("setup_intent.setup_failed", intent)
    return error


def saved(account: Account, intent: Json, method: Json) -> Json:
    """Attach the card to the customer."""
    payment_methods.trust(account, method)
    owner = account.get(intent["customer"])
    if owner:
        payment_methods.attach(account, method, owner)
    account.change(intent, {"status": "succeeded", "payment_method": method["id"], "next_action": None})
    account.emit("setup_intent.succeeded", intent)
    return intent


@operation("GET", "/v1/setup_intents/{intent}")
def retrieve(account: Account, params: Json, intent: str) -> Json:
    return account.find("setup_intent", intent)


@operation("POST", "/v1/setup_intents/{intent}")
def update(account: Account, params: Json, intent: str) -> Json:
    found = account.find("setup_intent", intent)
    wanted: Json = {name: params[name] for name in ("customer", "description", "metadata") if name in params}
    return account.change(found, changed(found, wanted))


@operation("POST", "/v1/setup_intents/{intent}/confirm")
def confirm(account: Account, params: Json, intent: str) -> Json:
    found = account.find("setup_intent", intent)
    named = params.get("payment_method") or found["payment_method"]
    return confirmed(account, found, payment_methods.method_of(account, named) if named else None)


@operation("POST", "/v1/setup_intents/{intent}/cancel")
def cancel(account: Account, params: Json, intent: str) -> Json:
    found = account.find("setup_intent", intent)
    if found["status"] in ("succeeded", "canceled"):
        words = f"You cannot cancel this SetupIntent because it has a status of {found['status']}."
        raise StripeError(words, code="setup_intent_unexpected_state")
    account.change(found, {"status": "canceled", "cancellation_reason": params.get("cancellation_reason")})
    account.emit("setup_intent.canceled", found)
    return found


@operation("GET", "/v1/setup_intents")
def index(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer"), "$.payment_method": params.get("payment_method")}
    return lists.page(account, "setup_intent", params, "/v1/setup_intents", filters)


def failed(account: Account, intent: Json, words: str) -> None:
    """Handle the cardholder's refusal."""
    problem = {"type": "invalid_request_error", "code": "setup_intent_authentication_failure", "message": words}
    changes = {"status": "requires_payment_method", "last_setup_error": problem, "payment_method": None}
    account.change(intent, changes | {"next_action": None})
    account.emit("setup_intent.setup_failed", intent)
