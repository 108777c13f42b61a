"""Payment intents and their charges."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import balance_transactions, cards, disputes, fraud_warnings, payment_methods
from portal.sandbox.webhooks.events import public

Json = dict[str, Any]

UNABLE = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)


def new_intent(account: Account, fields: Json) -> Json:
    """Create a payment intent that waits for a payment method or for its confirmation."""
    id_ = account.new_id("payment_intent")
    status = "requires_confirmation" if fields.get("payment_method") else "requires_payment_method"
    defaults = {
        "id": id_,
        "amount_capturable": 0,
        "amount_received": 0,
        "amount_details": {"tip": {}},
        "capture_method": "automatic_async",
        "client_secret": f"{id_}_secret_{account.new_id('item')[3:]}",
        "confirmation_method": "automatic",
        "metadata": {},
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "status": status,
    }
    return account.add("payment_intent", defaults | fields, "payment_intent.created")


def confirm(account: Account, intent: Json, method: Json, off_session: bool = False) -> Json:
    """Try to charge a payment method. Raises CardError if the card is declined."""
    if intent["status"] in ("succeeded", "canceled", "processing"):
        words = f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}."
        code = "payment_intent_unexpected_state"
        raise StripeError(words, code=code, payment_intent=public(intent))
    payment_methods.require_usable(method, intent["customer"])
    intent.update(payment_method=method["id"], last_payment_error=None, next_action=None)
    if method["type"] == "sepa_debit":
        return begin_debit(account, intent, method)
    if payment_methods.needs_authentication(method) or (asks_always(intent) and not off_session):
        return ask(account, intent, method, off_session)
    if method["_"].get("charge"):
        raise refuse(account, intent, method, method["_"]["charge"])
    return succeed(account, intent, method)


def asks_always(intent: Json) -> bool:
    """Return whether the cardholder is asked even if the bank does not require it.

    https://docs.stripe.com/payments/3d-secure/authentication-flow#manual-three-ds
    """
    card = (intent["payment_method_options"] or {}).get("card") or {}
    return card.get("request_three_d_secure") in ("any", "challenge")


def require_allowed(intent: Json, method: Json) -> None:
    """Raise StripeError for a type of payment method that the intent does not allow, and for a missing return_url,
    which types that redirect the buyer need.

    https://docs.stripe.com/payments/payment-methods/integration-options
    """
    if method["type"] not in intent["payment_method_types"]:
        words = f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent."
        raise StripeError(words, code="payment_intent_invalid_parameter", param="payment_method")
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and not intent["_"].get("return_url"):
        words = (
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some "
        )
        words += "of these payment methods might redirect your customer off of your page, you must provide a "
        raise StripeError(words + "`return_url`.", param="return_url")


def ask(account: Account, intent: Json, method: Json, off_session: bool) -> Json:
    """Ask the cardholder; off-session, or if the caller wants an error instead, that is a decline."""
    if off_session:
        raise refuse(account, intent, method, "authentication_required")
    if intent["_"].get("error_on_action"):
        raise refuse(account, intent, method, "authentication_not_handled")
    url = f"{account.config.pages}/3ds/{intent['id']}"
    action = {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": url, "return_url": intent["_"].get("return_url")},
    }
    account.change(intent, {"status": "requires_action", "next_action": action})
    account.emit("payment_intent.requires_action", intent)
    return intent


def authenticated(account: Account, intent: Json, passed: bool) -> Json:
    """Handle the cardholder's answer. Raises CardError if it was no, or if the bank then declines."""
    method = account.find("payment_method", intent["payment_method"])
    if not passed:
        raise fail(account, intent, method, StripeError(UNABLE, code="payment_intent_authentication_failure"))
    if method["_"].get("charge"):
        raise refuse(account, intent, method, method["_"]["charge"])
    payment_methods.trust(account, method)
    return succeed(account, intent, method)


def begin_debit(account: Account, intent: Json, method: Json) -> Json:
    """Begin a bank debit. It takes days in reality, and config.settle_after here."""
    intent["_"]["settles"] = method["_"]["settles"]
    charge = new_charge(account, intent, method, {"status": "pending", "paid": False})
    account.emit("charge.pending", charge)
    account.change(intent, {"status": "processing", "latest_charge": charge["id"]})
    account.emit("payment_intent.processing", intent)
    account.at(account.now() + account.config.settle_after, "settle", intent["id"])
    return intent


def settle(account: Account, intent: Json) -> Json:
    """Handle the bank's answer to a debit."""
    charge = account.find("charge", intent["latest_charge"])
    if intent["_"]["settles"] == "succeeds":
        account.change(charge, {"status": "succeeded", "paid": True})
        return received(account, intent, charge)
    words = "The customer's bank account could not be debited."
    account.change(charge, {"status": "failed", "failure_code": "debit_not_authorized", "failure_message": words})
    account.emit("charge.failed", charge)
    problem = {"type": "invalid_request_error", "code": "debit_not_authorized", "message": words}
    account.change(intent, {"status": "requires_payment_method", "last_payment_error": problem})
    account.emit("payment_intent.payment_failed", intent)
    return intent


def succeed(account: Account, intent: Json, method: Json) -> Json:
    """Mark the intent as succeeded."""
    return received(account, intent, new_charge(account, intent, method, {}))


def received(account: Account, intent: Json, charge: Json) -> Json:
    """Write a successful charge into its intent."""
    booked = balance_transactions.book(account, "charge", charge, charge["amount"])
    account.change(charge, {"balance_transaction": booked["id"]})
    account.emit("charge.succeeded", charge)
    changes = {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    account.change(intent, changes | {"next_action": None, "last_payment_error": None})
    account.emit("payment_intent.succeeded", intent)
    method = account.get(intent["payment_method"]) or {"_": {}}
    if method["_"].get("warning"):
        fraud_warnings.begin(account, charge, method["_"]["warning"])
    if method["_"].get("dispute"):
        disputes.begin(account, charge, method["_"]["dispute"])
    return intent


def refuse(account: Account, intent: Json, method: Json, reason: str) -> StripeError:
    """Record a declined charge, and return the error for the caller to raise."""
    error = cards.declined(reason)
    status = {"status": "failed", "paid": False, "captured": False, "amount_captured": 0}
    failure = {"failure_code": error.body["code"], "failure_message": str(error)}
    charge = new_charge(account, intent, method, status | failure)
    account.emit("charge.failed", charge)
    intent["latest_charge"] = error.body["charge"] = charge["id"]
    return fail(account, intent, method, error)


def fail(account: Account, intent: Json, method: Json, error: StripeError) -> StripeError:
    """Return an intent to waiting for another payment method; the attempt stays recorded."""
    error.keeps, error.status = True, 402
    problem = error.answer()["error"] | {"payment_method": public(method)}
    changes = {"status": "requires_payment_method", "last_payment_error": problem, "payment_method": None}
    account.change(intent, changes | {"next_action": None})
    account.emit("payment_intent.payment_failed", intent)
    error.body |= {"payment_intent": public(intent), "payment_method": public(method)}
    return error


def new_charge(account: Account, intent: Json, method: Json, fields: Json) -> Json:
    """Create a charge for the whole amount of an intent, successful unless fields say otherwise."""
    id_ = account.new_id("charge")
    defaults = {
        "id": id_,
        "amount": intent["amount"],
        "amount_captured": intent["amount"],
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": intent["statement_descriptor"] or "SANDBOX",
        "captured": True,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "fraud_details": {},
        "metadata": intent["metadata"],
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": details(method, intent),
        "receipt_email": intent["receipt_email"],
        "receipt_url": f"{account.config.pages}/receipts/{id_}",
        "shipping": intent["shipping"],
        "statement_descriptor": intent["statement_descriptor"],
        "status": "succeeded",
    }
    return account.add("charge", defaults | fields)


def details(method: Json, intent: Json) -> Json:
    """Return how a charge describes its payment method."""
    if method["type"] == "sepa_debit":
        debit = {
            name: method["sepa_debit"][name]
            for name in ("bank_code", "branch_code", "country", "fingerprint", "last4")
        }
        return {"type": "sepa_debit", "sepa_debit": debit | {"mandate": None}}
    card = method["card"]
    shown = {
        n: card[n]
        for n in ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    }
    more = {
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "three_d_secure": None,
        "wallet": None,
    }
    return {"type": "card", "card": shown | more}
