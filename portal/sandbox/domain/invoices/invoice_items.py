"""Invoice items: pending items of a customer's next invoice."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.payments import customer_balance
from portal.sandbox.domain.pricing import amounts, currencies, discounts

Json = dict[str, Any]


def add(account: Account, customer: Json, price: Json, quantity: int | Decimal, fields: Json) -> Json:
    """Add an item for a quantity of a price; fields can replace its amount, description, period and parent."""
    now = account.now()
    customer_balance.learn(account, customer, price["currency"])
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


def add_once(account: Account, customer: Json, subscription: Json, asked: Json, phase: Json | None = None) -> Json:
    """Add a one-time price to a subscription's next invoice. `asked` is one of add_invoice_items with its price,
    and `phase` the schedule's phase that it is of.
    """
    named = {"type": "subscription_details", "subscription_details": {"subscription": subscription["id"]}}
    id_ = account.new_id("invoiceitem")
    owner = {"customer": customer["id"], "invoice_item": id_}
    ids = discounts.redeem(account, asked.get("discounts") or [], owner, subscription["currency"])
    fields = {"id": id_, "parent": named, "discounts": ids, "tax_rates": asked.get("tax_rates") or []}
    fields |= {name: asked[name] for name in ("discountable", "metadata") if asked.get(name) is not None}
    fields["period"] = period_of(account, subscription, asked.get("period") or {}, phase)
    price = currencies.within(asked["price"], subscription["currency"], "add_invoice_items[price]")
    return add(account, customer, price, asked.get("quantity") or 1, fields)


def period_of(account: Account, subscription: Json, asked: Json, phase: Json | None) -> Json:
    """Return the period of a one-time price: by default what the subscription's items have in common."""
    items = subscription["items"]["data"]
    known = {
        "max_item_period_start": max(item["current_period_start"] for item in items),
        "min_item_period_end": min(item["current_period_end"] for item in items),
        "now": account.now(),
    }
    if phase:
        known |= {"phase_start": phase["start_date"], "phase_end": phase["end_date"]}
    start = asked.get("start") or {"type": "max_item_period_start"}
    end = asked.get("end") or {"type": "min_item_period_end"}
    return {name: one.get("timestamp") or known[one["type"]] for name, one in (("start", start), ("end", end))}


def unnamed(price: Json) -> Json:
    """Return the pricing of an item with an amount and no price."""
    return {"type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"]}


def take(account: Account, customer: str, currency: str, subscription: str | None) -> list[Json]:
    """Return lines for the pending items, oldest first; a manual invoice leaves a subscription's items alone."""
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
            "discounts": item["discounts"],
            "parent": {
                "type": "invoice_item_details",
                "invoice_item_details": named,
                "subscription_item_details": None,
            },
            "pretax_credit_amounts": [],
            "subscription": _owner(item),
            "subtotal": item["amount"],
            "taxes": [],
            "_": {"tax_rates": item["tax_rates"]},
        },
    )


def bind(account: Account, invoice: Json) -> None:
    """Mark an invoice's items as billed."""
    for line in invoice["lines"]["data"]:
        details = line["parent"]["invoice_item_details"] if line["parent"] else None
        item = account.get(details["invoice_item"]) if details else None
        if item and item["invoice"] is None:
            account.change(item, {"invoice": invoice["id"]})
