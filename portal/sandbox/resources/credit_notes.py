"""Credit notes."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.invoices import credit_notes
from portal.sandbox.domain.invoices.credit_notes import KIND
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]
WAYS = ("refund_amount", "credit_amount", "out_of_band_amount")


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
    fields: Json = {name: params[name] for name in ("memo", "metadata", "reason") if name in params}
    return credit_notes.issue(account, invoice, lines, ways, fields)


def line(account: Account, invoice: Json, asked: Json, at: str) -> Json:
    """A line of a credit note, for one of the invoice's or in words of its own. Raises StripeError."""
    credited = asked.get("invoice_line_item")
    original = next((one for one in invoice["lines"]["data"] if one["id"] == credited), None)
    if asked["type"] == "invoice_line_item" and original is None:
        raise StripeError(f"No such invoice line item: '{credited}'", param=f"{at}[invoice_line_item]")
    quantity = asked.get("quantity")
    exact = asked.get("unit_amount_decimal", asked.get("unit_amount"))
    if "amount" in asked:
        amount = asked["amount"]
    elif exact is not None:
        amount = int((Decimal(exact) * (quantity or 1)).quantize(Decimal(1), ROUND_HALF_UP))
    elif original and quantity:
        amount = int(
            (Decimal(original["amount"]) * quantity / original["quantity"]).quantize(Decimal(1), ROUND_HALF_UP)
        )
    else:
        raise missing_parameter(f"{at}[amount]")
    fields = {
        "amount": amount,
        "description": asked.get("description") or (original["description"] if original else "Credit"),
        "invoice_line_item": credited,
        "quantity": quantity,
        "type": asked["type"],
        "unit_amount": None if exact is None or Decimal(exact) % 1 else int(Decimal(exact)),
        "unit_amount_decimal": None if exact is None else str(exact),
        "taxes": [],
    }
    return account.build(
        "credit_note_line_item", {n: v for n, v in fields.items() if n != "invoice_line_item" or v}
    )


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
