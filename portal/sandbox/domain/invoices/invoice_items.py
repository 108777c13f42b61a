"""Invoice items: what waits for a customer's next invoice."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.pricing import amounts

Json = dict[str, Any]


def add(account: Account, customer: Json, price: Json, quantity: int | Decimal, fields: Json) -> Json:
    """An item for so many of a price; fields may replace its amount, description, period and parent."""
    now = account.now()
    amount = fields.get("amount", amounts.amount_of(price, quantity))
    defaults = {
        "amount": amount,
        "currency": price["currency"],
        "customer": customer["id"],
        "date": now,
        "description": amounts.describe(account, price, quantity) if price["id"] else None,
        "discountable": True,
        "discounts": [],
        "metadata": {},
        "net_amount": amount,
        "period": {"start": now, "end": now},
        "pricing": amounts.named(price) if price["id"] else unnamed(price),
        "quantity": int(quantity),
        "quantity_decimal": format(quantity, "f"),
        "tax_rates": [],
    }
    return account.add("invoiceitem", defaults | fields, "invoiceitem.created")


def unnamed(price: Json) -> Json:
    """The pricing of an item that has an amount and no price."""
    return {"type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"]}


def take(account: Account, customer: str, currency: str, subscription: str | None) -> list[Json]:
    """Lines for the pending items, oldest first; a manual invoice leaves a subscription's items alone."""
    pending = account.store.select(
        account.mode,
        "invoiceitem",
        "json_extract(json, '$.customer') = ? AND json_extract(json, '$.invoice') IS NULL",
        customer,
        oldest_first=True,
    )
    fit = [i for i in pending if i["currency"] == currency and _owner(i) in (None, subscription)]
    return [line(account, item) for item in fit]


def _owner(item: Json) -> str | None:
    details = (item["parent"] or {}).get("subscription_details") or {}
    owner: str | None = details.get("subscription")
    return owner


def line(account: Account, item: Json) -> Json:
    named = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": None},
        "subscription": _owner(item),
    }
    same = ("amount", "currency", "description", "metadata", "period", "pricing", "quantity", "quantity_decimal")
    return account.build(
        "line_item",
        {name: item[name] for name in same}
        | {
            "discount_amounts": [],
            "discountable": item["discountable"],
            "parent": {
                "type": "invoice_item_details",
                "invoice_item_details": named,
                "subscription_item_details": None,
            },
            "pretax_credit_amounts": [],
            "subscription": _owner(item),
            "subtotal": item["amount"],
            "taxes": [],
        },
    )


def bind(account: Account, invoice: Json) -> None:
    """Mark the items that an invoice took as billed."""
    for line in invoice["lines"]["data"]:
        details = line["parent"]["invoice_item_details"] if line["parent"] else None
        item = account.get(details["invoice_item"]) if details else None
        if item and item["invoice"] is None:
            account.change(item, {"invoice": invoice["id"]})
