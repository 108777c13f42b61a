"""Credit notes: they lower what an open invoice asks for, and give back what was paid for one.

https://docs.stripe.com/invoicing/integration/programmatic-credit-notes
"""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import invoice_payments
from portal.sandbox.domain.payments import customer_balance, refunds

Json = dict[str, Any]
KIND = "credit_note"


def issue(account: Account, invoice: Json, lines: list[Json], ways: Json, fields: Json) -> Json:
    """A credit note for an open or paid invoice.

    ways says how much of what was paid is given back how: refund_amount, credit_amount, out_of_band_amount.
    Raises StripeError.
    """
    amount = sum(line["amount"] for line in lines)
    paid = invoice["status"] == "paid"
    check(account, invoice, amount, ways)
    id_ = account.new_id(KIND)
    note = {
        "id": id_,
        "amount": amount,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "effective_at": account.now(),
        "invoice": invoice["id"],
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{id_}/lines"},
        "metadata": {},
        "number": f"{invoice['number']}-CN-{len(of(account, invoice)) + 1:02d}",
        "out_of_band_amount": ways.get("out_of_band_amount"),
        "pdf": f"{invoice['invoice_pdf']}?credit_note={id_}",
        "post_payment_amount": amount if paid else 0,
        "pre_payment_amount": 0 if paid else amount,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment" if paid else "pre_payment",
    }
    made = account.add(KIND, note | fields | (give_back(account, invoice, id_, ways) if paid else {}))
    account.emit("credit_note.created", made)
    lower(account, invoice, amount, paid)
    return made


def of(account: Account, invoice: Json) -> list[Json]:
    """An invoice's credit notes, newest first."""
    return account.store.select(account.mode, KIND, "json_extract(json, '$.invoice') = ?", invoice["id"])


def check(account: Account, invoice: Json, amount: int, ways: Json) -> None:
    """Raises StripeError for more than there is, or where the ways don't come to the amount."""
    if invoice["status"] not in ("open", "paid"):
        words = f"Credit notes can only be created for open or paid invoices. This invoice is {invoice['status']}."
        raise StripeError(words, param="invoice")
    issued = sum(note["amount"] for note in of(account, invoice) if note["status"] == "issued")
    most = invoice["amount_remaining"] if invoice["status"] == "open" else invoice["total"] - issued
    if not 0 < amount <= most:
        words = f"The credit note's amount ({amount}) must be greater than 0 and not exceed what is left ({most})."
        raise StripeError(words, param="amount")
    given = sum(ways.values())
    if invoice["status"] == "paid" and given != amount:
        words = "The sum of credit amount, refund amount and out of band amount must equal the credit note amount "
        raise StripeError(f"{words}({amount}), but is {given}.")
    if invoice["status"] == "open" and given:
        raise StripeError("Nothing has been paid for an open invoice that could be given back.")


def give_back(account: Account, invoice: Json, note: str, ways: Json) -> Json:
    """Refund what was paid, or add it to the customer's balance; the note's fields that name either."""
    fields: Json = {}
    if ways.get("refund_amount"):
        intent = invoice_payments.intent_of(account, invoice)
        if intent is None or intent["status"] != "succeeded":
            raise StripeError("This invoice has no payment to refund.", param="refund_amount")
        charge = account.find("charge", intent["latest_charge"])
        made = refunds.refund(account, charge, {}, ways["refund_amount"])
        shown = {"amount_refunded": made["amount"], "payment_record_refund": None, "refund": made["id"]}
        fields["refunds"] = [shown | {"type": "refund"}]
    if ways.get("credit_amount"):
        customer = account.find("customer", invoice["customer"])
        named = {"invoice": invoice["id"], "credit_note": note, "currency": invoice["currency"]}
        booked = customer_balance.change(account, customer, -ways["credit_amount"], KIND, named)
        fields["customer_balance_transaction"] = booked["id"] if booked else None
    return fields


def lower(account: Account, invoice: Json, amount: int, paid: bool) -> None:
    """Write a note into its invoice; an open one asks for less, and for nothing more once it is all credited."""
    name = "post_payment_credit_notes_amount" if paid else "pre_payment_credit_notes_amount"
    changes = {name: invoice[name] + amount}
    if not paid:
        changes |= {n: invoice[n] - amount for n in ("amount_due", "amount_remaining")}
    account.change(invoice, changes, "invoice.updated")
    intent = None if paid else invoice_payments.intent_of(account, invoice)
    if intent and invoice["amount_due"] > 0:
        account.change(intent, {"amount": invoice["amount_due"]})
        for tie in invoice_payments.payments_of(account, invoice):
            account.change(tie, {"amount_requested": invoice["amount_due"]})
    elif not paid and not invoice["amount_due"]:
        invoice_payments.mark_paid(account, invoice, out_of_band=True)


def void(account: Account, note: Json) -> Json:
    """Take back a note of an open invoice, which asks for the amount again. Raises StripeError."""
    invoice = account.find("invoice", note["invoice"])
    if note["status"] == "void" or note["type"] != "pre_payment" or invoice["status"] != "open":
        raise StripeError("Only credit notes of open invoices can be voided.")
    account.change(note, {"status": "void", "voided_at": account.now()})
    account.emit("credit_note.voided", note)
    lower(account, invoice, -note["amount"], paid=False)
    return note
