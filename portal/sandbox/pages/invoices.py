"""The hosted invoice page, its PDF, and receipts."""

from typing import Any

from flask import Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import invoice_payments
from portal.sandbox.domain.invoices.pdf import render
from portal.sandbox.domain.pricing import amounts, tax_rates
from portal.sandbox.pages import forms
from portal.sandbox.pages.base import account_of, go, page, pages

Json = dict[str, Any]


@pages.get("/i/<invoice_id>")
def show_invoice(invoice_id: str) -> Response:
    account, invoice = opened(invoice_id)
    return invoice_page(account, invoice, {}, {})


def invoice_page(account: Account, invoice: Json, typed: Any, wrong: Json, status: int = 200) -> Response:
    """Render the invoice, and the ways to pay it."""
    waits = bool(asking(account, invoice))
    off = sum(one["amount"] for one in invoice["total_discount_amounts"])
    taxes = tax_rates.shown(account, invoice["total_taxes"])
    sums = {"off": off, "taxes": taxes, "authenticate": waits}
    return page("invoice.html", status, invoice=invoice, typed=typed, wrong=wrong, **sums)


def asking(account: Account, invoice: Json) -> Json | None:
    """Return the payment that waits for its cardholder, if there is one."""
    intent = invoice_payments.intent_of(account, invoice) if invoice["status"] == "open" else None
    return intent if intent and intent["status"] == "requires_action" else None


@pages.post("/i/<invoice_id>/authenticate")
def authenticate_invoice(invoice_id: str) -> Answer:
    """Redirect to the bank of the card that was charged, for authentication."""
    account, invoice = opened(invoice_id)
    intent = asking(account, invoice)
    if intent is None:
        return go(f"/i/{invoice_id}")
    with account.store.transaction():
        account.change(intent, {"_": intent["_"] | {"return_url": invoice["hosted_invoice_url"]}})
    return go(f"/3ds/{intent['id']}")


@pages.post("/i/<invoice_id>")
def pay_invoice(invoice_id: str) -> Response | Answer:
    account, invoice = opened(invoice_id)
    if invoice["status"] != "open":
        return go(f"/i/{invoice_id}")
    wrong = forms.problems(request.form)
    if wrong:
        return invoice_page(account, invoice, request.form, wrong, 422)
    try:
        return go(attempt_invoice(account, invoice_id))
    except StripeError as error:
        field, words = forms.explain(error)
        return invoice_page(account, account.find("invoice", invoice_id), request.form, {field: words}, 402)


def attempt_invoice(account: Account, invoice_id: str) -> str:
    """Pay with the entered data and return the next URL. Raises StripeError if it is declined."""
    with account.store.transaction():
        invoice = account.find("invoice", invoice_id)
        if invoice["status"] != "open":
            return f"/i/{invoice_id}"
        method = forms.method(account, request.form, invoice["customer_email"])
        paid = invoice_payments.pay(account, invoice, method, off_session=False)
        intent = invoice_payments.intent_of(account, paid)
        if intent and intent["status"] == "requires_action":
            account.change(intent, {"_": intent["_"] | {"return_url": invoice["hosted_invoice_url"]}})
            return f"/3ds/{intent['id']}"
    return f"/i/{invoice_id}"


@pages.get("/i/<invoice_id>/pdf")
def invoice_pdf(invoice_id: str) -> Response:
    account, invoice = opened(invoice_id)
    taxes = tax_rates.shown(account, invoice["total_taxes"])
    response = Response(render(invoice, taxes), mimetype="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="Invoice-{invoice["number"]}.pdf"'
    return response


@pages.get("/receipts/<charge_id>")
def receipt(charge_id: str) -> Response:
    charge = account_of(charge_id).get(charge_id) or {}
    if charge.get("object") != "charge":
        abort(404)
    paid = amounts.money(charge["amount"], charge["currency"])
    return page("message.html", heading="Receipt", words=f"{paid}: {charge['status']}.")


def opened(invoice_id: str) -> tuple[Account, Json]:
    """Return the finalized invoice of a URL, or raise 404."""
    account = account_of(invoice_id)
    invoice = account.get(invoice_id) or {}
    if invoice.get("object") != "invoice" or invoice["status"] == "draft":
        abort(404)
    return account, invoice
