"""Products."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.resources.common import changed, given
from portal.sandbox.resources.prices import new_price

Json = dict[str, Any]


@operation("POST", "/v1/products")
def create(account: Account, params: Json) -> Json:
    inline = params.pop("default_price_data", None)
    id_ = params.get("id")
    if id_ and account.get(id_):
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    defaults = {
        "active": True,
        "images": [],
        "marketing_features": [],
        "metadata": {},
        "type": "service",
        "updated": account.now(),
    }
    product = account.add("product", defaults | given(params), "product.created")
    if inline:
        price = new_price(account, inline | {"product": product["id"]})
        account.change(product, {"default_price": price["id"]}, "product.updated")
    return product


@operation("GET", "/v1/products/{id}")
def retrieve(account: Account, params: Json, id: str) -> Json:
    return account.find("product", id)


@operation("POST", "/v1/products/{id}")
def update(account: Account, params: Json, id: str) -> Json:
    product = account.find("product", id)
    changes = changed(product, params)
    return account.change(product, changes | {"updated": account.now()}, "product.updated" if changes else None)


@operation("DELETE", "/v1/products/{id}")
def delete(account: Account, params: Json, id: str) -> Json:
    product = account.find("product", id)
    if account.store.select(account.mode, "price", "json_extract(json, '$.product') = ?", id, limit=1):
        words = "This product cannot be deleted because it has one or more user-created prices."
        raise StripeError(words)
    account.emit("product.deleted", product)
    account.store.remove(account.mode, id)
    return {"id": id, "object": "product", "deleted": True}


@operation("GET", "/v1/products")
def index(account: Account, params: Json) -> Json:
    if params.get("ids"):
        found = [p for id_ in params["ids"] if (p := account.get(id_))]
        return lists.of(found, "/v1/products")
    return lists.page(account, "product", params, "/v1/products", {"$.active": params.get("active")})
