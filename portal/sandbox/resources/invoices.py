"""Invoices and invoice items."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import CardError, StripeError
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.invoices import (
    drafts,
    finalization,
    invoice_items,
    invoice_payments,
    part_payments,
)
from portal.sandbox.domain.payments import payment_methods
from portal.sandbox.domain.pricing import discounts, tax_rates, taxes
from portal.sandbox.resources.common import NOWHERE, changed, given, require_future

Json = dict[str, Any]
AS_GIVEN = (
    "auto_advance",
    "collection_method",
    "custom_fields",
    "default_payment_method",
    "description",
    "due_date",
    "effective_at",
    "footer",
    "metadata",
    "number",
    "rendering",
    "shipping_details",
    "statement_descriptor",
)
PLAIN_RENDERING = {
    "amount_tax_display": None,
    "pdf": {"page_size": "auto"},
    "template": None,
    "template_version": None,
}


@operation("POST", "/v1/invoices")
def create(account: Account, params: Json) -> Json:
    inherits = "discounts" not in params
    params = given(params)
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = account.find("customer", params["customer"], "customer")
    currency = params.get("currency") or customer["currency"] or "usd"
    fields = as_given(account, params, account.now())
    fields.setdefault("auto_advance", False)
    if not fields["auto_advance"]:
        fields["automatically_finalizes_at"] = None
    exclude = params.get("pending_invoice_items_behavior", "exclude") == "exclude"
    lines = [] if exclude else invoice_items.take(account, customer["id"], currency, params.get("subscription"))
    fields["discounts"] = (
        discounts.of_customer(account, customer)
        if inherits
        else discounts.redeem(account, params.get("discounts") or [], {"customer": customer["id"]}, currency)
    )
    fields["default_tax_rates"] = tax_rates.named(account, params.get("default_tax_rates"), "default_tax_rates")
    wanted = taxes.free(params.get("automatic_tax"))
    if wanted["enabled"]:
        taxes.require_location(customer)
    fields["automatic_tax"] = taxes.calculated({"disabled_reason": None} | wanted, customer)
    made = advancing(account, drafts.draft(account, customer, currency, lines, fields))
    discounts.used(account, made["discounts"] if inherits else [])
    return made


def as_given(account: Account, params: Json, created: int) -> Json:
    """Return the fields of an invoice that are as its parameters say. Raises StripeError."""
    fields = {name: params[name] for name in AS_GIVEN if name in params}
    require_future(account, params, "due_date")
    if params.get("days_until_due") is not None:
        fields["due_date"] = created + params["days_until_due"] * 86400
    if fields.get("rendering"):
        fields["rendering"] = PLAIN_RENDERING | given(fields["rendering"])
    if fields.get("shipping_details"):
        named = {"phone": None} | fields["shipping_details"]
        fields["shipping_details"] = named | {"address": NOWHERE | named["address"]}
    return fields


def advancing(account: Account, invoice: Json) -> Json:
    """Handle auto_advance: a draft is finalized and charged after an hour, an open invoice immediately."""
    if invoice["auto_advance"] and invoice["status"] in ("draft", "open"):
        due = account.now() + (drafts.DRAFT_FOR if invoice["status"] == "draft" else 0)
        if invoice["status"] == "draft":
            account.change(invoice, {"automatically_finalizes_at": due})
        account.at(due, "collect", invoice["id"])
    return invoice


@operation("GET", "/v1/invoices/{invoice}")
def retrieve(account: Account, params: Json, invoice: str) -> Json:
    return account.find("invoice", invoice)


@operation("POST", "/v1/invoices/{invoice}")
def update(account: Account, params: Json, invoice: str) -> Json:
    found = account.find("invoice", invoice)
    wanted = as_given(account, params, found["created"])
    beyond = wanted.keys() | (params.keys() & {"default_tax_rates", "discounts"})
    if found["status"] != "draft" and beyond - {"metadata", "auto_advance", "default_payment_method"}:
        raise StripeError("Finalized invoices can't be updated in this way", code="invoice_not_editable")
    begins = bool(wanted.get("auto_advance")) and not found["auto_advance"]
    changes = changed(found, wanted)
    if "default_tax_rates" in params:
        changes["default_tax_rates"] = tax_rates.named(account, params["default_tax_rates"], "default_tax_rates")
    if "discounts" in params:
        asked, owner = params["discounts"] or [], {"customer": found["customer"], "invoice": invoice}
        changes["discounts"] = discounts.redeem(account, asked, owner, found["currency"])
    if changes.keys() & {"default_tax_rates", "discounts"}:
        changes = drafts.recomputed(account, found, changes)
    account.change(found, changes, "invoice.updated")
    return advancing(account, found) if begins else found


@operation("DELETE", "/v1/invoices/{invoice}")
def delete(account: Account, params: Json, invoice: str) -> Json:
    found = account.find("invoice", invoice)
    if found["status"] != "draft":
        raise StripeError("You can only delete draft invoices.", code="invoice_not_editable")
    account.emit("invoice.deleted", found)
    account.store.remove(account.mode, invoice)
    return {"id": invoice, "object": "invoice", "deleted": True}


@operation("POST", "/v1/invoices/{invoice}/finalize")
def finalize(account: Account, params: Json, invoice: str) -> Json:
    found = account.find("invoice", invoice)
    if params.get("auto_advance") is not None:
        found["auto_advance"] = params["auto_advance"]
    return advancing(account, finalization.finalize(account, found))


@operation("POST", "/v1/invoices/{invoice}/pay")
def pay(account: Account, params: Json, invoice: str) -> Json:
    found = account.find("invoice", invoice)
    if found["status"] == "draft":
        found = finalization.finalize(account, found)
        if found["status"] == "paid":
            return found
    if params.get("paid_out_of_band"):
        return invoice_payments.mark_paid(account, found, out_of_band=True)
    if params.get("payment_method"):
        method = payment_methods.method_of(account, params["payment_method"])
    else:
        method = invoice_payments.default_method(account, found) or no_method()
    paid = invoice_payments.pay(account, found, method, params.get("off_session", False) is True)
    if paid["status"] == "open" and method["type"] == "card":
        words = "Payment for this invoice requires additional user action before it can be completed successfully."
        raise CardError(words, code="invoice_payment_intent_requires_action")
    return paid


def no_method() -> Json:
    """Raise StripeError because there is no payment method."""
    words = "There is no `default_payment_method` set on this Customer or Invoice. Please set one and try again."
    raise StripeError(words, code="resource_missing")


@operation("POST", "/v1/invoices/{invoice}/attach_payment")
def attach_payment(account: Account, params: Json, invoice: str) -> Json:
    if not params.get("payment_intent"):
        raise missing_parameter("payment_intent")
    intent = account.find("payment_intent", params["payment_intent"], "payment_intent")
    return part_payments.attach(account, account.find("invoice", invoice), intent)


@operation("POST", "/v1/invoices/{invoice}/send")
def send(account: Account, params: Json, invoice: str) -> Json:
    found = account.find("invoice", invoice)
    if found["status"] == "draft":
        found = finalization.finalize(account, found)
    account.emit("invoice.sent", found)
    return found


@operation("POST", "/v1/invoices/{invoice}/void")
def void(account: Account, params: Json, invoice: str) -> Json:
    return invoice_payments.close(account, account.find("invoice", invoice), "void")


@operation("POST", "/v1/invoices/{invoice}/mark_uncollectible")
def mark_uncollectible(account: Account, params: Json, invoice: str) -> Json:
    return invoice_payments.close(account, account.find("invoice", invoice), "uncollectible")


@operation("GET", "/v1/invoices/{invoice}/lines")
def lines(account: Account, params: Json, invoice: str) -> Json:
    found = account.find("invoice", invoice)
    return lists.slice_of(found["lines"]["data"], params, f"/v1/invoices/{invoice}/lines")


@operation("GET", "/v1/invoices")
def index(account: Account, params: Json) -> Json:
    filters = {
        "$.customer": params.get("customer"),
        "$.status": params.get("status"),
        "$.collection_method": params.get("collection_method"),
        "$.parent.subscription_details.subscription": params.get("subscription"),
    }
    return lists.page(account, "invoice", params, "/v1/invoices", filters)


@on_request("invoice", "payments")
def included_payments(account: Account, invoice: Json) -> Json:
    return lists.of(
        invoice_payments.payments_of(account, invoice), f"/v1/invoice_payments?invoice={invoice['id']}"
    )


@on_request("invoice", "confirmation_secret")
def confirmation_secret(account: Account, invoice: Json) -> Json | None:
    intent = invoice_payments.intent_of(account, invoice)
    return {"type": "payment_intent", "client_secret": intent["client_secret"]} if intent else None


@operation("GET", "/v1/invoice_payments")
def index_payments(account: Account, params: Json) -> Json:
    paid_by = params.get("payment") or {}
    filters = {
        "$.invoice": params.get("invoice"),
        "$.status": params.get("status"),
        "$.payment.payment_intent": paid_by.get("payment_intent"),
    }
    return lists.page(account, "invoice_payment", params, "/v1/invoice_payments", filters)


@operation("GET", "/v1/invoice_payments/{invoice_payment}")
def retrieve_payment(account: Account, params: Json, invoice_payment: str) -> Json:
    return account.find("invoice_payment", invoice_payment)
