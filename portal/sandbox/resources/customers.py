"""Customers."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError, missing
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.checkout import sessions
from portal.sandbox.domain.payments import customer_balance, payment_methods
from portal.sandbox.domain.pricing import discounts, taxes
from portal.sandbox.domain.subscriptions import cancellation
from portal.sandbox.resources.common import changed, given, with_addresses

Json = dict[str, Any]
REDEEMED = ("coupon", "promotion_code")
RUNNING = (
    "json_extract(json, '$.customer') = ? "
    "AND json_extract(json, '$.status') NOT IN ('canceled', 'incomplete_expired')"
)


@operation("POST", "/v1/customers")
def create(account: Account, params: Json) -> Json:
    params = with_addresses(given(params))
    method = params.pop("payment_method", None)
    settings = given(params.pop("invoice_settings", {}))
    tax_ids = params.pop("tax_id_data", [])
    discount = {name: params.pop(name) for name in REDEEMED if name in params}
    if params.get("test_clock"):
        account.clock = account.find("test_helpers.test_clock", params["test_clock"], "test_clock")
    customer = sessions.new_customer(account, params)
    for one in tax_ids:
        taxes.add(account, customer, one["type"], one["value"])
    give_discount(account, customer, discount)
    attached = (
        payment_methods.attach(account, payment_methods.method_of(account, method), customer)["id"]
        if method
        else None
    )
    if settings:
        write_settings(account, customer, settings, {method: attached} if method else {})
    return customer


def give_discount(account: Account, customer: Json, asked: Json) -> None:
    """Give a customer a discount of their own, or remove it, as versions before 2025-03-31 do. Raises
    StripeError.
    """
    if any(asked.values()):
        discounts.give(account, customer, asked)
    elif asked and customer["discount"]:
        discounts.take(account, account.find("discount", customer["discount"]["id"]))
        customer.update(account.find("customer", customer["id"]))


def write_settings(account: Account, customer: Json, settings: Json, attached: Json) -> None:
    """Change invoice_settings; a default given as pm_card_visa becomes the created method."""
    default = settings.get("default_payment_method")
    if default:
        settings["default_payment_method"] = own_method(account, customer, str(attached.get(default, default)))
    before = customer["invoice_settings"]
    account.change(customer, {"invoice_settings": before | settings}, "customer.updated")


def own_method(account: Account, customer: Json, id_: str) -> str:
    """Return the id of a payment method of this customer. Raises StripeError."""
    method = payment_methods.method_of(account, id_, "invoice_settings[default_payment_method]")
    if method["customer"] != customer["id"]:
        payment_methods.attach(account, method, customer)
    return str(method["id"])


@operation("GET", "/v1/customers/{customer}")
def retrieve(account: Account, params: Json, customer: str) -> Json:
    found = account.find("customer", customer)
    return gone(customer) if found.get("deleted") else found


def gone(id_: str) -> Json:
    """Return what remains of a deleted customer."""
    return {"id": id_, "object": "customer", "deleted": True}


@operation("POST", "/v1/customers/{customer}")
def update(account: Account, params: Json, customer: str) -> Json:
    found = account.find("customer", customer)
    if found.get("deleted"):
        raise missing("customer", customer)
    settings = params.pop("invoice_settings", None)
    balance = params.pop("balance", None)
    discount = {name: params.pop(name) for name in REDEEMED if name in params}
    account.change(found, changed(found, with_addresses(params)), "customer.updated")
    give_discount(account, found, discount)
    if balance is not None:
        customer_balance.change(account, found, balance - found["balance"], "adjustment", {})
    if settings:
        write_settings(account, found, settings, {})
    return found


@operation("DELETE", "/v1/customers/{customer}")
def delete(account: Account, params: Json, customer: str) -> Json:
    found = account.find("customer", customer)
    for subscription in account.store.select(account.mode, "subscription", RUNNING, customer):
        cancellation.end(account, subscription)
    account.emit("customer.deleted", found)
    account.change(found, {"deleted": True})
    return gone(customer)


@operation("GET", "/v1/customers/{customer}/discount")
def retrieve_discount(account: Account, params: Json, customer: str) -> Json:
    found = account.find("customer", customer)
    if not found["discount"]:
        words = f"No active discount for customer: {customer}"
        raise StripeError(words, code="resource_missing", status=404)
    return account.find("discount", found["discount"]["id"])


@operation("DELETE", "/v1/customers/{customer}/discount")
def delete_discount(account: Account, params: Json, customer: str) -> Json:
    return discounts.take(account, retrieve_discount(account, {}, customer))


@operation("GET", "/v1/customers")
def index(account: Account, params: Json) -> Json:
    filters = {"$.email": params.get("email"), "$.test_clock": params.get("test_clock")}
    present = "json_extract(json, '$.deleted') IS NULL"
    return lists.page(account, "customer", params, "/v1/customers", filters, only=present)


@operation("GET", "/v1/customers/{customer}/payment_methods")
def index_payment_methods(account: Account, params: Json, customer: str) -> Json:
    account.find("customer", customer)
    filters = {"$.customer": customer, "$.type": params.get("type")}
    return lists.page(account, "payment_method", params, f"/v1/customers/{customer}/payment_methods", filters)


@operation("GET", "/v1/customers/{customer}/payment_methods/{payment_method}")
def retrieve_payment_method(account: Account, params: Json, customer: str, payment_method: str) -> Json:
    account.find("customer", customer)
    return account.find("payment_method", payment_method)


@on_request("customer", "subscriptions")
def subscriptions(account: Account, customer: Json) -> Json:
    running = account.store.select(account.mode, "subscription", RUNNING, customer["id"], limit=10)
    return lists.of(running, f"/v1/customers/{customer['id']}/subscriptions")


@on_request("customer", "invoice_credit_balance")
def balances(account: Account, customer: Json) -> Json:
    return customer_balance.shown(customer)


@on_request("customer", "sources")
def sources(account: Account, customer: Json) -> Json:
    return lists.of([], f"/v1/customers/{customer['id']}/sources")
