"""Draft invoices: their lines, discounts and totals."""

import copy
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.lists import of
from portal.sandbox.domain.invoices import invoice_items
from portal.sandbox.domain.payments import customer_balance
from portal.sandbox.domain.pricing import amounts, discount_amounts, tax_rates, taxes

Json = dict[str, Any]

DRAFT_FOR = 3600  # seconds that a draft can still be changed before it is finalized automatically


def draft(account: Account, customer: Json, currency: str, lines: list[Json], fields: Json) -> Json:
    """Create a draft with these lines; the caller adds pending invoice items."""
    id_, now = fields.get("id") or account.new_id("invoice"), account.now()
    for item in lines:
        item["invoice"] = id_
    defaults = {
        "id": id_,
        "account_country": "US",
        "account_name": "Sandbox",
        "auto_advance": True,
        "automatically_finalizes_at": now + DRAFT_FOR,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "currency": currency,
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": taxes.shown(account, customer["id"]),
        "issuer": {"type": "self"},
        "lines": of(lines, f"/v1/invoices/{id_}/lines"),
        "metadata": {},
        "period_end": now,
        "period_start": now,
        "status": "draft",
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }
    invoice = account.build("invoice", defaults | fields)
    made = account.add("invoice", compute(account, customer, invoice), "invoice.created")
    invoice_items.bind(account, made)
    return made


def compute(account: Account, customer: Json, invoice: Json, credit: bool = True) -> Json:
    """Sum the lines, subtract discounts, add taxes, and apply the customer's balance in its currency."""
    subtotal = sum(item["amount"] for item in invoice["lines"]["data"])
    total = subtotal - discount_amounts.on_invoice(account, invoice) + tax_rates.on_invoice(invoice)
    net = total - sum(one["amount"] for one in invoice["total_taxes"])
    balance = customer_balance.of(customer, invoice["currency"]) if credit else 0
    due = max(0, total + balance) if total > 0 else 0
    if due < amounts.SMALLEST.get(invoice["currency"], 0):
        due = 0  # it goes to the customer's balance: docs.stripe.com/api/invoices/object#invoice_object-amount_due
    invoice.update(subtotal=subtotal, total=total, total_excluding_tax=net)
    invoice.update(amount_due=due, amount_remaining=due, starting_balance=balance)
    return invoice


def recomputed(account: Account, invoice: Json, changes: Json) -> Json:
    """Return the fields of a draft after changes that its totals depend on, such as its discounts."""
    after = copy.deepcopy(invoice) | changes
    return compute(account, account.find("customer", invoice["customer"]), after)


def add_item(account: Account, invoice: Json, item: Json) -> None:
    """Add an item to a draft. Raises StripeError if the invoice is not a draft."""
    if invoice["status"] != "draft":
        raise StripeError("This invoice is no longer editable.", code="invoice_not_editable", param="invoice")
    if item["currency"] != invoice["currency"]:
        words = f"The currency of the item is {item['currency']}, that of the invoice {invoice['currency']}."
        raise StripeError(words, param="currency")
    if item["customer"] != invoice["customer"]:
        raise StripeError("The invoice belongs to another customer.", param="invoice")
    previous = {name: invoice[name] for name in ("amount_due", "subtotal", "total")}
    invoice["lines"]["data"].append(invoice_items.line(account, item) | {"invoice": invoice["id"]})
    compute(account, account.find("customer", invoice["customer"]), invoice)
    account.save(invoice)
    account.emit("invoice.updated", invoice, previous)
    account.change(item, {"invoice": invoice["id"]})
