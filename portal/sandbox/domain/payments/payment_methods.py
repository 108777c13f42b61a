"""Payment methods: created, attached to a customer, and detached."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import cards

Json = dict[str, Any]

NOBODY: Json = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}


def new_method(account: Account, fields: Json, billing: Json | None = None) -> Json:
    """Create a payment method without a customer; fields come from cards.card_fields or cards.iban_fields."""
    details = NOBODY | {name: value for name, value in (billing or {}).items() if value is not None}
    details["address"] = NOBODY["address"] | (details["address"] or {})
    more = {"billing_details": details, "metadata": {}, "allow_redisplay": "unspecified"}
    return account.add("payment_method", more | fields)


def method_of(account: Account, id_: str, param: str = "payment_method") -> Json:
    """Return the payment method with an id; pm_card_visa and similar names create a new one each time."""
    card = cards.named(id_)
    if card and not account.get(id_):
        return new_method(account, cards.card_fields(card, 12, 2034))
    return account.find("payment_method", id_, param)


def attach(account: Account, method: Json, customer: Json) -> Json:
    """Attach a payment method to a customer. Raises CardError for a card that can't be saved."""
    if method["_"].get("attach"):
        raise cards.declined(method["_"]["attach"])
    if method["customer"] == customer["id"]:
        return method
    if method["_"].get("detached"):
        require_usable(method, customer["id"])
    if method["customer"]:
        raise StripeError("The payment method you provided has already been attached to a customer.")
    account.change(method, {"customer": customer["id"]})
    account.emit("payment_method.attached", method)
    return method


def require_usable(method: Json, customer: str | None, param: str = "payment_method") -> None:
    """Raise StripeError for a payment method that was detached, or that belongs to another customer."""
    if method["_"].get("detached"):
        words = "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
        words += (
            "shared with a connected account without Customer attachment, or was detached from a Customer. It "
        )
        raise StripeError(words + "may not be used again.", param=param)
    if method["customer"] not in (None, customer):
        words = f"The payment method `{method['id']}` belongs to another customer."
        raise StripeError(words, param=param)


def detach(account: Account, method: Json) -> Json:
    """Detach a payment method from its customer permanently."""
    if not method["customer"]:
        words = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise StripeError(words)
    owner = account.get(method["customer"])
    if owner and owner["invoice_settings"]["default_payment_method"] == method["id"]:
        without = owner["invoice_settings"] | {"default_payment_method": None}
        account.change(owner, {"invoice_settings": without}, "customer.updated")
    paid_by = "json_extract(json, '$.default_payment_method') = ?"
    for subscription in account.store.select(account.mode, "subscription", paid_by, method["id"]):
        account.change(subscription, {"default_payment_method": None}, "customer.subscription.updated")
    previous = {"customer": method["customer"]}
    account.change(method, {"customer": None, "_": method["_"] | {"detached": True}})
    account.emit("payment_method.detached", method, previous)
    return method


def needs_authentication(method: Json) -> bool:
    """Return whether the cardholder must authenticate before this card can be charged."""
    rule = method["_"].get("authenticate")
    return rule == "always" or (rule == "once" and not method["_"]["trusted"])


def trust(account: Account, method: Json) -> None:
    """Allow later charges of a card without asking, after its holder has authenticated once."""
    account.change(method, {"_": method["_"] | {"trusted": True}})
