"""Payment methods, payment intents, setup intents, charges, refunds and tokens."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.payments import cards, payment_intents, payment_methods, refunds, settlements
from portal.sandbox.domain.pricing import amounts
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]
INTENT_FIELDS = (
    "amount",
    "currency",
    "customer",
    "description",
    "metadata",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
CANCELABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")


@operation("POST", "/v1/payment_methods")
def create_method(account: Account, params: Json) -> Json:
    params = given(params)
    billing, metadata = params.get("billing_details"), params.get("metadata") or {}
    if params.get("type") == "sepa_debit":
        fields = cards.iban_fields((params.get("sepa_debit") or {}).get("iban") or "")
    elif params.get("type") == "card":
        fields = typed_card(params.get("card") or {})
    else:
        raise StripeError("The sandbox makes payment methods of type card and sepa_debit.", param="type")
    return payment_methods.new_method(account, fields | {"metadata": metadata}, billing)


def typed_card(card: Json) -> Json:
    """Return the card of a token or of a number. Raises StripeError."""
    if card.get("token"):
        found = cards.named(card["token"])
        if not found:
            raise StripeError(f"No such token: '{card['token']}'", code="resource_missing", param="card[token]")
        return cards.card_fields(found, 12, 2034)
    if not card.get("number"):
        raise missing_parameter("card")
    return cards.card_fields(cards.numbered(card["number"]), card.get("exp_month", 12), card.get("exp_year", 2034))


@operation("GET", "/v1/payment_methods/{payment_method}")
def method(account: Account, params: Json, payment_method: str) -> Json:
    return account.find("payment_method", payment_method)


@operation("POST", "/v1/payment_methods/{payment_method}")
def update_method(account: Account, params: Json, payment_method: str) -> Json:
    found = account.find("payment_method", payment_method)
    changes = changed(found, {n: params[n] for n in ("metadata", "allow_redisplay") if n in params})
    if params.get("billing_details"):
        changes["billing_details"] = found["billing_details"] | given(params["billing_details"])
    if params.get("card"):
        dates = {n: v for n, v in given(params["card"]).items() if n in ("exp_month", "exp_year")}
        changes["card"] = found["card"] | dates
    return account.change(found, changes, "payment_method.updated" if found["customer"] else None)


@operation("GET", "/v1/payment_methods")
def methods(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer"), "$.type": params.get("type")}
    return lists.page(account, "payment_method", params, "/v1/payment_methods", filters)


@operation("POST", "/v1/payment_methods/{payment_method}/attach")
def attach(account: Account, params: Json, payment_method: str) -> Json:
    if not params.get("customer"):
        raise missing_parameter("customer")
    customer = account.find("customer", params["customer"], "customer")
    return payment_methods.attach(account, payment_methods.method_of(account, payment_method), customer)


@operation("POST", "/v1/payment_methods/{payment_method}/detach")
def detach(account: Account, params: Json, payment_method: str) -> Json:
    return payment_methods.detach(account, account.find("payment_method", payment_method))


@operation("POST", "/v1/payment_intents")
def create_intent(account: Account, params: Json) -> Json:
    params = given(params)
    for name in ("amount", "currency"):
        if name not in params:
            raise missing_parameter(name)
    if params["amount"] < 1:
        words = "This value must be greater than or equal to 1."
        raise StripeError(words, code="parameter_invalid_integer", param="amount")
    amounts.require_minimum(params["amount"], params["currency"])
    if params.get("customer"):
        account.find("customer", params["customer"], "customer")
    fields = {name: params[name] for name in INTENT_FIELDS if name in params}
    fields |= types_of(params) | options_of(params)
    chosen = payment_methods.method_of(account, params["payment_method"]) if params.get("payment_method") else None
    if chosen:
        fields["payment_method"] = chosen["id"]
    intent = payment_intents.new_intent(account, fields | {"_": {"return_url": params.get("return_url")}})
    return confirm(account, intent, chosen, params) if params.get("confirm") else intent


def options_of(params: Json) -> Json:
    """Return an intent's payment_method_options, with every field of the card's."""
    card = (params.get("payment_method_options") or {}).get("card")
    if not card:
        return {}
    plain = {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    return {"payment_method_options": {"card": plain | card}}


def types_of(params: Json) -> Json:
    """Return an intent's fields about its types of payment methods; `automatic_payment_methods` allows all that
    the sandbox has for its currency. Raises StripeError.
    """
    types = params.get("payment_method_types") or params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods") or {"enabled": False}
    if types and automatic["enabled"]:
        words = "You may only specify one of these parameters: automatic_payment_methods, payment_method_types."
        raise StripeError(words, param="automatic_payment_methods")
    if not automatic["enabled"]:
        return {"payment_method_types": types} if types else {}
    both = ["card", "sepa_debit"] if params["currency"].lower() == "eur" else ["card"]
    return {
        "automatic_payment_methods": {"allow_redirects": "always"} | automatic,
        "payment_method_types": both,
    }


def confirm(account: Account, intent: Json, chosen: Json | None, params: Json) -> Json:
    """Confirm an intent with its payment method. Raises StripeError."""
    if chosen is None:
        words = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise StripeError(words, code="payment_intent_unexpected_state")
    if not intent["_"].get("invoice"):
        payment_intents.require_allowed(intent, chosen)
    intent["_"]["error_on_action"] = params.get("error_on_requires_action")
    off_session = params.get("off_session") not in (None, False, "false")
    done = settlements.confirm(account, intent, chosen, off_session)
    owner = account.get(done["customer"])
    if owner and done["setup_future_usage"] and not chosen["customer"]:
        payment_methods.attach(account, chosen, owner)
    return done


@operation("GET", "/v1/payment_intents/{intent}")
def intent(account: Account, params: Json, intent: str) -> Json:
    return account.find("payment_intent", intent)


@operation("POST", "/v1/payment_intents/{intent}")
def update_intent(account: Account, params: Json, intent: str) -> Json:
    found = account.find("payment_intent", intent)
    changes = changed(found, {name: params[name] for name in INTENT_FIELDS if name in params})
    if params.get("payment_method"):
        changes["payment_method"] = payment_methods.method_of(account, params["payment_method"])["id"]
        changes["status"] = "requires_confirmation"
    if found["status"] in ("succeeded", "canceled") and changes.keys() - {
        "metadata",
        "description",
        "receipt_email",
    }:
        words = f"This PaymentIntent could not be updated because it has a status of {found['status']}."
        raise StripeError(words, code="payment_intent_unexpected_state")
    return account.change(found, changes)


@operation("POST", "/v1/payment_intents/{intent}/confirm")
def confirm_intent(account: Account, params: Json, intent: str) -> Json:
    found = account.find("payment_intent", intent)
    named = params.get("payment_method") or found["payment_method"]
    found["_"]["return_url"] = params.get("return_url") or found["_"].get("return_url")
    found |= options_of(params)
    return confirm(account, found, payment_methods.method_of(account, named) if named else None, params)


@operation("POST", "/v1/payment_intents/{intent}/cancel")
def cancel_intent(account: Account, params: Json, intent: str) -> Json:
    found = account.find("payment_intent", intent)
    if found["status"] not in CANCELABLE:
        words = f"You cannot cancel this PaymentIntent because it has a status of {found['status']}."
        raise StripeError(words, code="payment_intent_unexpected_state")
    reason = params.get("cancellation_reason")
    account.change(found, {"status": "canceled", "canceled_at": account.now(), "cancellation_reason": reason})
    account.emit("payment_intent.canceled", found)
    return found


@operation("GET", "/v1/payment_intents")
def intents(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer")}
    return lists.page(account, "payment_intent", params, "/v1/payment_intents", filters)


@operation("POST", "/v1/refunds")
def create_refund(account: Account, params: Json) -> Json:
    params = given(params)
    if params.get("payment_intent"):
        paid = account.find("payment_intent", params["payment_intent"], "payment_intent")
        if paid["status"] != "succeeded":
            words = f"This PaymentIntent ({paid['id']}) does not have a successful charge to refund."
            raise StripeError(words, param="payment_intent")
        charge = account.find("charge", paid["latest_charge"])
    elif params.get("charge"):
        charge = account.find("charge", params["charge"], "charge")
    else:
        words = "One of the following params should be provided for this request: payment_intent or charge."
        raise StripeError(words)
    fields: Json = {name: params[name] for name in ("metadata", "reason") if name in params}
    return refunds.refund(account, charge, fields, params.get("amount"))


@operation("GET", "/v1/refunds/{refund}")
def refund(account: Account, params: Json, refund: str) -> Json:
    return account.find("refund", refund)


@operation("POST", "/v1/refunds/{refund}")
def update_refund(account: Account, params: Json, refund: str) -> Json:
    found = account.find("refund", refund)
    return account.change(found, changed(found, params), "refund.updated")


@operation("POST", "/v1/refunds/{refund}/cancel")
def cancel_refund(account: Account, params: Json, refund: str) -> Json:
    return refunds.cancel(account, account.find("refund", refund))


@operation("GET", "/v1/refunds")
def index_refunds(account: Account, params: Json) -> Json:
    filters = {"$.charge": params.get("charge"), "$.payment_intent": params.get("payment_intent")}
    return lists.page(account, "refund", params, "/v1/refunds", filters)


@operation("GET", "/v1/charges/{charge}")
def charge(account: Account, params: Json, charge: str) -> Json:
    return account.find("charge", charge)


@operation("POST", "/v1/charges/{charge}")
def update_charge(account: Account, params: Json, charge: str) -> Json:
    found = account.find("charge", charge)
    wanted: Json = {
        n: params[n] for n in ("description", "metadata", "receipt_email", "transfer_group") if n in params
    }
    return account.change(found, changed(found, wanted), "charge.updated")


@operation("GET", "/v1/charges")
def charges(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer"), "$.payment_intent": params.get("payment_intent")}
    return lists.page(account, "charge", params, "/v1/charges", filters)


@on_request("charge", "refunds")
def included_refunds(account: Account, charge: Json) -> Json:
    found = account.store.select(account.mode, "refund", "json_extract(json, '$.charge') = ?", charge["id"])
    return lists.of(found, f"/v1/charges/{charge['id']}/refunds")
