"""Credit notes."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.invoices import credit_notes
from portal.sandbox.domain.invoices.credit_notes import KIND
from portal.sandbox.domain.pricing import discount_amounts, tax_rates
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]
AS_GIVEN = ("effective_at", "memo", "metadata", "reason")
WAYS = (*credit_notes.AMOUNTS, "refunds")


@operation("POST", "/v1/credit_notes")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    invoice = account.find("invoice", params["invoice"], "invoice")
    if ("amount" in params) == ("lines" in params):
        words = "You must specify one of `amount` and `lines`."
        raise StripeError(words, param="amount")
    asked = params.get("lines") or [{"type": "custom_line_item", "unit_amount": params["amount"], "quantity": 1}]
    lines = [line(account, invoice, given(one), f"lines[{n}]") for n, one in enumerate(asked)]
    ways = {name: params[name] for name in WAYS if params.get(name)}
    fields: Json = {name: params[name] for name in AS_GIVEN if name in params}
    return credit_notes.issue(account, invoice, lines, ways, fields)


def line(account: Account, invoice: Json, asked: Json, at: str) -> Json:
    """Return a line of a credit note, for one of the invoice's or with its own description. Raises StripeError."""
    credited = asked.get("invoice_line_item")
    original = next((one for one in invoice["lines"]["data"] if one["id"] == credited), None)
    if asked["type"] == "invoice_line_item" and original is None:
        raise StripeError(f"No such invoice line item: '{credited}'", param=f"{at}[invoice_line_item]")
    quantity = asked.get("quantity")
    exact = asked.get("unit_amount_decimal", asked.get("unit_amount"))
    if original and "tax_rates" in asked:
        words = "`tax_rates` can only be set for lines of type `custom_line_item`."
        raise StripeError(words, param=f"{at}[tax_rates]")
    amount = amount_of(asked, original, at)
    off = credit_notes.discounted(original, amount) if original else []
    rates = tax_rates.named(account, asked.get("tax_rates"), f"{at}[tax_rates]")
    if original:
        rates = [account.find(tax_rates.KIND, tax["tax_rate_details"]["tax_rate"]) for tax in original["taxes"]]
    less = sum(one["amount"] for one in off)
    fields = {
        "amount": amount,
        "discount_amount": less,
        "discount_amounts": off,
        "description": asked.get("description") or (original["description"] if original else "Credit"),
        "invoice_line_item": credited,
        "quantity": quantity,
        "type": asked["type"],
        "unit_amount": None if exact is None or Decimal(exact) % 1 else int(Decimal(exact)),
        "unit_amount_decimal": None if exact is None else str(exact),
        "tax_rates": rates,
        "taxes": tax_rates.taxes(rates, amount - less, invoice["customer_tax_exempt"]),
    }
    return account.build(
        "credit_note_line_item", {n: v for n, v in fields.items() if n != "invoice_line_item" or v}
    )


def amount_of(asked: Json, original: Json | None, at: str) -> int:
    """Return a line's credit before discounts and taxes, in minor units. Raises StripeError."""
    quantity, exact = asked.get("quantity"), asked.get("unit_amount_decimal", asked.get("unit_amount"))
    if "amount" in asked:
        return int(asked["amount"])
    if exact is not None:
        return discount_amounts.half_up(Decimal(exact) * (quantity or 1))
    if original and quantity:
        return discount_amounts.half_up(Decimal(original["amount"]) * quantity / original["quantity"])
    raise missing_parameter(f"{at}[amount]")


@operation("GET", "/v1/credit_notes/{id}")
def retrieve(account: Account, params: Json, id: str) -> Json:
    return account.find(KIND, id)


@operation("POST", "/v1/credit_notes/{id}")
def update(account: Account, params: Json, id: str) -> Json:
    found = account.find(KIND, id)
    return account.change(found, changed(found, params), "credit_note.updated")


@operation("POST", "/v1/credit_notes/{id}/void")
def void(account: Account, params: Json, id: str) -> Json:
    return credit_notes.void(account, account.find(KIND, id))


@operation("GET", "/v1/credit_notes/{credit_note}/lines")
def lines(account: Account, params: Json, credit_note: str) -> Json:
    found = account.find(KIND, credit_note)
    return lists.slice_of(found["lines"]["data"], params, f"/v1/credit_notes/{credit_note}/lines")


@operation("GET", "/v1/credit_notes")
def index(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer"), "$.invoice": params.get("invoice")}
    return lists.page(account, KIND, params, "/v1/credit_notes", filters)
