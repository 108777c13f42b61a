"""Credit notes: they reduce an open invoice's amount, and refund a paid one.

https://docs.stripe.com/invoicing/integration/programmatic-credit-notes
"""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import invoice_payments
from portal.sandbox.domain.payments import customer_balance, refunds
from portal.sandbox.domain.pricing import discount_amounts, tax_rates

Json = dict[str, Any]
KIND = "credit_note"
AMOUNTS = ("refund_amount", "credit_amount", "out_of_band_amount")


def issue(account: Account, invoice: Json, lines: list[Json], ways: Json, fields: Json) -> Json:
    """Create a credit note for an open or paid invoice.

    ways says how much of the payment is returned: refund_amount, credit_amount, out_of_band_amount, and
    refunds that exist. Raises StripeError.
    """
    sums = totals(lines)
    amount = sums["total"]
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
        "type": "post_payment" if paid else "pre_payment",
    }
    made = account.add(KIND, note | sums | fields | (give_back(account, invoice, id_, ways) if paid else {}))
    account.emit("credit_note.created", made)
    lower(account, invoice, amount, paid)
    return made


def totals(lines: list[Json]) -> Json:
    """Return the totals of a credit note's lines."""
    full = sum(line["amount"] for line in lines)
    off = sum(line["discount_amount"] for line in lines)
    taxes = tax_rates.totals([line["taxes"] for line in lines])
    total = full - off + tax_rates.added(taxes)
    return {
        "discount_amount": off,
        "discount_amounts": [one for line in lines for one in line["discount_amounts"]],
        "subtotal": full,
        "subtotal_excluding_tax": full - tax_rates.contained(taxes),
        "total": total,
        "total_excluding_tax": total - sum(one["amount"] for one in taxes),
        "total_taxes": taxes,
    }


def discounted(line: Json, amount: int) -> list[Json]:
    """Return an invoice line's discounts, in proportion to the credited amount."""
    share = Decimal(amount) / (line["amount"] or 1)
    parts = [one | {"amount": discount_amounts.half_up(one["amount"] * share)} for one in line["discount_amounts"]]
    return [one for one in parts if one["amount"]]


def of(account: Account, invoice: Json) -> list[Json]:
    """Return an invoice's credit notes, newest first."""
    return account.store.select(account.mode, KIND, "json_extract(json, '$.invoice') = ?", invoice["id"])


def check(account: Account, invoice: Json, amount: int, ways: Json) -> None:
    """Raise StripeError for more than the invoice's amount, or if the ways don't add up to the amount."""
    if invoice["status"] not in ("open", "paid"):
        words = f"Credit notes can only be created for open or paid invoices. This invoice is {invoice['status']}."
        raise StripeError(words, param="invoice")
    issued = sum(note["amount"] for note in of(account, invoice) if note["status"] == "issued")
    most = invoice["amount_remaining"] if invoice["status"] == "open" else invoice["total"] - issued
    if not 0 < amount <= most:
        words = f"The credit note's amount ({amount}) must be greater than 0 and not exceed what is left ({most})."
        raise StripeError(words, param="amount")
    given = sum(ways.get(name, 0) for name in AMOUNTS)
    for one in ways.get("refunds", []):
        given += linked(account, invoice, one)["amount_refunded"]
    if invoice["status"] == "paid" and given != amount:
        words = "The sum of credit amount, refund amount and out of band amount must equal the credit note amount "
        raise StripeError(f"{words}({amount}), but is {given}.")
    if invoice["status"] == "open" and given:
        raise StripeError("Nothing has been paid for an open invoice that could be given back.")


def give_back(account: Account, invoice: Json, note: str, ways: Json) -> Json:
    """Refund the payments, or add to the customer's balance, and return the note's fields for either."""
    fields: Json = {"refunds": [linked(account, invoice, one) for one in ways.get("refunds", [])]}
    if ways.get("refund_amount"):
        fields["refunds"] += refunded(account, invoice, ways["refund_amount"])
    if ways.get("credit_amount"):
        customer = account.find("customer", invoice["customer"])
        named = {"invoice": invoice["id"], "credit_note": note}
        booked = customer_balance.change(
            account, customer, -ways["credit_amount"], KIND, named, invoice["currency"]
        )
        fields["customer_balance_transaction"] = booked["id"] if booked else None
    return fields


def charges_of(account: Account, invoice: Json) -> list[Json]:
    """Return the successful charges of an invoice's payments, newest first."""
    ties = [tie for tie in invoice_payments.payments_of(account, invoice) if tie["status"] == "paid"]
    intents = [account.get(tie["payment"].get("payment_intent")) or {} for tie in ties]
    return [account.find("charge", one["latest_charge"]) for one in intents if one.get("latest_charge")]


def refunded(account: Account, invoice: Json, amount: int) -> list[Json]:
    """Refund an amount of an invoice's payments, and return the refunds for a note. Raises StripeError."""
    charges = charges_of(account, invoice)
    if sum(one["amount"] - one["amount_refunded"] for one in charges) < amount:
        raise StripeError("This invoice has no payment of this amount to refund.", param="refund_amount")
    made = []
    for charge in charges:
        part = min(amount, charge["amount"] - charge["amount_refunded"])
        if part:
            made.append(shown(refunds.refund(account, charge, {}, part)["id"], part))
        amount -= part
    return made


def linked(account: Account, invoice: Json, asked: Json) -> Json:
    """Return an existing refund as a note shows it. Raises StripeError for one of another invoice, or more of it
    than it has.
    """
    refund = account.find("refund", asked.get("refund") or "", "refunds[0][refund]")
    amount: int = asked.get("amount_refunded") or refund["amount"]
    if refund["charge"] not in [one["id"] for one in charges_of(account, invoice)]:
        raise StripeError("The refund does not belong to this invoice.", param="refunds[0][refund]")
    used = [one for note in of(account, invoice) if note["status"] == "issued" for one in note["refunds"]]
    left = refund["amount"] - sum(one["amount_refunded"] for one in used if one["refund"] == refund["id"])
    if amount > left:
        words = f"Only {left} of the refund {refund['id']} can be used."
        raise StripeError(words, param="refunds[0][amount_refunded]")
    return shown(refund["id"], amount)


def shown(refund: str, amount: int) -> Json:
    """Return a refund as a note shows it."""
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund, "type": "refund"}


def lower(account: Account, invoice: Json, amount: int, paid: bool) -> None:
    """Apply a note to its invoice. An open invoice's amount is reduced, and it is paid if fully credited."""
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
    """Void a note of an open invoice, whose amount is restored. Raises StripeError."""
    invoice = account.find("invoice", note["invoice"])
    if note["status"] == "void" or note["type"] != "pre_payment" or invoice["status"] != "open":
        raise StripeError("Only credit notes of open invoices can be voided.")
    account.change(note, {"status": "void", "voided_at": account.now()})
    account.emit("credit_note.voided", note)
    lower(account, invoice, -note["amount"], paid=False)
    return note
