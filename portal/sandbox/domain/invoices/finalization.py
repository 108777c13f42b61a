"""Finalizing invoices: the number, the payment intent, and the first collection."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import drafts, invoice_payments
from portal.sandbox.domain.payments import customer_balance, payment_intents
from portal.sandbox.domain.pricing import taxes

Json = dict[str, Any]


def finalize(account: Account, invoice: Json, credit: bool = True) -> Json:
    """Give a draft its number, and a payment intent if something is due. Raises StripeError.

    credit: whether the customer's balance pays first.
    """
    if invoice["status"] != "draft":
        words = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise StripeError(words, code="invoice_not_editable")
    customer = account.find("customer", invoice["customer"])
    require_known_tax(account, customer, invoice)
    invoice = drafts.compute(account, customer, invoice, credit)
    ending = invoice["starting_balance"] + invoice["total"] - invoice["amount_due"]
    number = invoice["number"] or next_number(account, customer)
    if credit:
        more, currency = ending - invoice["starting_balance"], invoice["currency"]
        type_ = "invoice_too_small" if more > 0 and ending > 0 else "applied_to_invoice"
        customer_balance.change(account, customer, more, type_, {"invoice": invoice["id"]}, currency)
    _open(account, invoice, number, ending)
    return invoice_payments.mark_paid(account, invoice) if invoice["amount_due"] == 0 else invoice


def next_number(account: Account, customer: Json) -> str:
    """Take the next number of a customer's invoices."""
    number = customer["next_invoice_sequence"]
    account.change(customer, {"next_invoice_sequence": number + 1})
    return f"{customer['invoice_prefix']}-{number:04d}"


def require_known_tax(account: Account, customer: Json, invoice: Json) -> None:
    """Keep a draft whose tax cannot be calculated as a draft, and create an event. Raises StripeError."""
    if not invoice["automatic_tax"]["enabled"]:
        return
    tax = taxes.calculated(invoice["automatic_tax"], customer)
    error = None
    try:
        taxes.require_location(customer, "")
    except StripeError as refused:
        refused.keeps, error = True, refused
    known = error.answer()["error"] if error else None
    account.change(invoice, {"automatic_tax": tax, "last_finalization_error": known})
    if error is not None:
        account.emit("invoice.finalization_failed", invoice)
        raise error


def _open(account: Account, invoice: Json, number: str, ending: int) -> None:
    page = f"{account.config.pages}/i/{invoice['id']}"
    when = invoice["status_transitions"] | {"finalized_at": account.now()}
    invoice.update(
        status="open",
        number=number,
        ending_balance=ending,
        effective_at=invoice["effective_at"] or account.now(),
        hosted_invoice_url=page,
        invoice_pdf=f"{page}/pdf",
        automatically_finalizes_at=None,
        status_transitions=when,
    )
    if invoice["collection_method"] == "send_invoice" and not invoice["due_date"]:
        invoice["due_date"] = account.now() + (invoice["_"].get("days_until_due") or 30) * 86400
    account.save(invoice)
    account.emit("invoice.finalized", invoice)
    if invoice["amount_due"]:
        ask_for_payment(account, invoice)


def ask_for_payment(account: Account, invoice: Json) -> None:
    """Create the payment intent of an open invoice, and the object that links the two."""
    words = {"subscription_create": "Subscription creation", "subscription_cycle": "Subscription update"}
    fields = {
        "amount": invoice["amount_due"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": words.get(invoice["billing_reason"]),
        "statement_descriptor": invoice["statement_descriptor"],
        "_": {"invoice": invoice["id"]},
    }
    if invoice["parent"]:
        fields["setup_future_usage"] = "off_session"
    types = invoice["payment_settings"]["payment_method_types"]
    intent = payment_intents.new_intent(account, fields | ({"payment_method_types": types} if types else {}))
    tie = {
        "amount_requested": invoice["amount_due"],
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
        "status": "open",
    }
    account.add("invoice_payment", tie)


def collect(account: Account, invoice: Json, off_session: bool = False) -> Json:
    """Finalize a draft and charge it; a decline leaves it open."""
    if invoice["status"] == "draft":
        invoice = finalize(account, invoice)
    if invoice["status"] != "open" or invoice["collection_method"] == "send_invoice":
        return invoice
    method = invoice_payments.default_method(account, invoice)
    if method is None:
        return invoice_payments.failed(account, invoice)
    try:
        return invoice_payments.pay(account, invoice, method, off_session)
    except StripeError as error:
        if not error.keeps:
            raise
        return account.find("invoice", invoice["id"])
