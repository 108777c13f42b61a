"""The transactions of a customer's balance."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError, missing
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.payments import customer_balance
from portal.sandbox.domain.payments.customer_balance import KIND
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]
PATH = "/v1/customers/{customer}/balance_transactions"


@operation("POST", PATH)
def create(account: Account, params: Json, customer: str) -> Json:
    found, params = account.find("customer", customer), given(params)
    currency = params["currency"].lower()
    if not params["amount"]:
        raise StripeError("The amount cannot be 0.", code="parameter_invalid_integer", param="amount")
    fields = params | {"currency": currency}
    customer_balance.learn(account, found, currency)
    made = customer_balance.change(account, found, params["amount"], "adjustment", fields, currency)
    assert made
    return made


@operation("GET", PATH + "/{transaction}")
def retrieve(account: Account, params: Json, customer: str, transaction: str) -> Json:
    found = account.find(KIND, transaction)
    if found["customer"] != customer:
        raise missing(KIND, transaction)
    return found


@operation("POST", PATH + "/{transaction}")
def update(account: Account, params: Json, customer: str, transaction: str) -> Json:
    found = retrieve(account, {}, customer, transaction)
    return account.change(found, changed(found, params))


@operation("GET", PATH)
def index(account: Account, params: Json, customer: str) -> Json:
    account.find("customer", customer)
    filters = {"$.customer": customer, "$.invoice": params.get("invoice")}
    return lists.page(account, KIND, params, PATH.replace("{customer}", customer), filters)
