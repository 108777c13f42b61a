"""Invoice items."""

import re
from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.invoices import drafts, invoice_items
from portal.sandbox.domain.pricing import currencies, discounts, tax_rates
from portal.sandbox.resources.common import changed, given
from portal.sandbox.resources.prices import new_price

Json = dict[str, Any]
AS_GIVEN = ("description", "discountable", "metadata", "period")


@operation("POST", "/v1/invoiceitems")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    check(params)
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = account.find("customer", params["customer"], "customer")
    quantity = Decimal(params["quantity_decimal"]) if params.get("quantity_decimal") else params.get("quantity", 1)
    fields = {name: params[name] for name in AS_GIVEN if name in params}
    fields["tax_rates"] = tax_rates.named(account, params.get("tax_rates"), "tax_rates")
    if params.get("subscription"):
        subscription = account.find("subscription", params["subscription"], "subscription")
        named = {"subscription": subscription["id"]}
        fields["parent"] = {"type": "subscription_details", "subscription_details": named}
    price = price_of(account, params, customer)
    if "amount" in params:
        fields["amount"] = params["amount"]
    if params.get("invoice"):
        fields["invoice"] = params["invoice"]
    id_ = account.new_id("invoiceitem")
    owner = {"customer": customer["id"], "invoice_item": id_}
    asked = params.get("discounts") or []
    fields |= {"id": id_, "discounts": discounts.redeem(account, asked, owner, price["currency"])}
    item = invoice_items.add(account, customer, price, quantity, fields)
    if params.get("invoice"):
        drafts.add_item(account, account.find("invoice", params["invoice"], "invoice"), item)
    return item


def check(params: Json) -> None:
    """Raise StripeError for invalid combinations."""
    if "quantity" in params and "quantity_decimal" in params:
        words = "You may only specify one of these parameters: quantity, quantity_decimal."
        raise StripeError(words, param="quantity_decimal")
    exact = params.get("quantity_decimal", "0")
    if not re.fullmatch(r"\d+(\.\d{1,12})?", exact):
        raise StripeError(f"Invalid decimal: {exact}", param="quantity_decimal")


def price_of(account: Account, params: Json, customer: Json) -> Json:
    """Return the price that an item names in its currency, or one for its amount. Raises StripeError."""
    named = (params.get("pricing") or {}).get("price")
    if named:
        price = account.find("price", named, "pricing[price]")
        if price["recurring"]:
            raise StripeError("The price specified is not a one-time price.", param="pricing[price]")
        currency = currencies.chosen([price], params.get("currency"), customer)
        return currencies.within(price, currency, "pricing[price]")
    exact = params.get("amount", params.get("unit_amount_decimal"))
    if params.get("price_data"):
        return new_price(account, given(params["price_data"]) | {"active": False})
    if exact is None:
        raise missing_parameter("amount")
    if "currency" not in params:
        raise missing_parameter("currency")
    return {"id": None, "currency": params["currency"].lower(), "unit_amount_decimal": str(exact)}


@operation("GET", "/v1/invoiceitems/{invoiceitem}")
def retrieve(account: Account, params: Json, invoiceitem: str) -> Json:
    return account.find("invoiceitem", invoiceitem)


@operation("POST", "/v1/invoiceitems/{invoiceitem}")
def update(account: Account, params: Json, invoiceitem: str) -> Json:
    found = account.find("invoiceitem", invoiceitem)
    wanted = {name: params[name] for name in (*AS_GIVEN, "amount") if name in params}
    if "tax_rates" in params:
        wanted["tax_rates"] = tax_rates.named(account, params["tax_rates"], "tax_rates")
    if "discounts" in params:
        owner, asked = {"customer": found["customer"], "invoice_item": found["id"]}, params["discounts"] or []
        wanted["discounts"] = discounts.redeem(account, asked, owner, found["currency"])
    if found["invoice"] and wanted.keys() & {"amount", "discounts", "tax_rates"}:
        raise StripeError("This invoice item is already on an invoice.", code="invoice_not_editable")
    return account.change(found, changed(found, wanted))


@operation("DELETE", "/v1/invoiceitems/{invoiceitem}")
def delete(account: Account, params: Json, invoiceitem: str) -> Json:
    found = account.find("invoiceitem", invoiceitem)
    if found["invoice"]:
        raise StripeError("You can only delete invoice items that aren't attached to an invoice.")
    account.emit("invoiceitem.deleted", found)
    account.store.remove(account.mode, invoiceitem)
    return {"id": invoiceitem, "object": "invoiceitem", "deleted": True}


@operation("GET", "/v1/invoiceitems")
def index(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer"), "$.invoice": params.get("invoice")}
    pending = "json_extract(json, '$.invoice') IS NULL" if params.get("pending") else "1"
    return lists.page(account, "invoiceitem", params, "/v1/invoiceitems", filters, only=pending)
