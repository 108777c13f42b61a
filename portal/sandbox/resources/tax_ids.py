"""A customer's tax ids."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import missing
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.pricing import taxes

Json = dict[str, Any]


@operation("POST", "/v1/customers/{customer}/tax_ids")
def create(account: Account, params: Json, customer: str) -> Json:
    return taxes.add(account, account.find("customer", customer), params["type"], params["value"])


@operation("GET", "/v1/customers/{customer}/tax_ids/{id}")
def retrieve(account: Account, params: Json, customer: str, id: str) -> Json:
    found = account.find("tax_id", id)
    if found["customer"] != customer:
        raise missing("tax_id", id)
    return found


@operation("DELETE", "/v1/customers/{customer}/tax_ids/{id}")
def delete(account: Account, params: Json, customer: str, id: str) -> Json:
    account.emit("customer.tax_id.deleted", retrieve(account, {}, customer, id))
    account.store.remove(account.mode, id)
    return {"id": id, "object": "tax_id", "deleted": True}


@operation("GET", "/v1/customers/{customer}/tax_ids")
def index(account: Account, params: Json, customer: str) -> Json:
    account.find("customer", customer)
    return lists.page(account, "tax_id", params, f"/v1/customers/{customer}/tax_ids", {"$.customer": customer})


@on_request("customer", "tax_ids")
def included(account: Account, customer: Json) -> Json:
    return index(account, {}, customer["id"])
