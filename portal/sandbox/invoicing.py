"""Invoices: draft → open → paid, void or uncollectible."""

from typing import TYPE_CHECKING, Any

from portal.sandbox import discounting, dunning, items_due, payments, taxing
from portal.sandbox.errors import StripeError
from portal.sandbox.lists import of

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]
DRAFT_FOR = 3600  # seconds that a draft can still be changed before it is finalized by itself


def draft(account: "Account", customer: Json, currency: str, lines: list[Json], fields: Json) -> Json:
    """A new draft with these lines; pending invoice items are the caller's to add."""
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
        "customer_tax_ids": taxing.shown(account, customer["id"]),
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
    made = account.add("invoice", reckon(account, customer, invoice), "invoice.created")
    items_due.bind(account, made)
    return made


def reckon(account: "Account", customer: Json, invoice: Json) -> Json:
    """Add up the lines, take off the discounts, and take the customer's credit balance into account."""
    subtotal = sum(item["amount"] for item in invoice["lines"]["data"])
    total = subtotal - discounting.on_invoice(account, invoice)
    balance = customer["balance"]
    due = max(0, total + balance) if total > 0 else 0
    invoice.update(subtotal=subtotal, subtotal_excluding_tax=subtotal, total=total, total_excluding_tax=total)
    invoice.update(amount_due=due, amount_remaining=due, starting_balance=balance)
    return invoice


def finalize(account: "Account", invoice: Json) -> Json:
    """Give a draft its number, and a payment intent if something is due. Raises StripeError."""
    if invoice["status"] != "draft":
        words = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise StripeError(words, code="invoice_not_editable")
    customer = account.find("customer", invoice["customer"])
    invoice = reckon(account, customer, invoice)
    ending = invoice["starting_balance"] + invoice["total"] - invoice["amount_due"]
    number = customer["next_invoice_sequence"]
    changes = {"next_invoice_sequence": number + 1, "balance": ending}
    account.change(customer, changes, "customer.updated" if ending != customer["balance"] else None)
    _open(account, invoice, f"{customer['invoice_prefix']}-{number:04d}", ending)
    return mark_paid(account, invoice) if invoice["amount_due"] == 0 else invoice


def _open(account: "Account", invoice: Json, number: str, ending: int) -> None:
    page = f"{account.config.pages}/i/{invoice['id']}"
    when = invoice["status_transitions"] | {"finalized_at": account.now()}
    invoice.update(
        status="open",
        number=number,
        ending_balance=ending,
        effective_at=account.now(),
        hosted_invoice_url=page,
        invoice_pdf=f"{page}/pdf",
        automatically_finalizes_at=None,
        status_transitions=when,
    )
    if invoice["collection_method"] == "send_invoice" and not invoice["due_date"]:
        invoice["due_date"] = account.now() + 30 * 86400
    account.save(invoice)
    account.emit("invoice.finalized", invoice)
    if invoice["amount_due"]:
        ask_for_payment(account, invoice)


def ask_for_payment(account: "Account", invoice: Json) -> None:
    """The payment intent of an open invoice, and the object that ties the two."""
    words = {"subscription_create": "Subscription creation", "subscription_cycle": "Subscription update"}
    fields = {
        "amount": invoice["amount_due"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": words.get(invoice["billing_reason"]),
        "_": {"invoice": invoice["id"]},
    }
    if invoice["parent"]:
        fields["setup_future_usage"] = "off_session"
    intent = payments.new_intent(account, fields)
    tie = {
        "amount_requested": invoice["amount_due"],
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
        "status": "open",
    }
    account.add("invoice_payment", tie)


def payments_of(account: "Account", invoice: Json) -> list[Json]:
    """The invoice's payments, newest first."""
    return account.store.select(
        account.mode, "invoice_payment", "json_extract(json, '$.invoice') = ?", invoice["id"]
    )


def intent_of(account: "Account", invoice: Json) -> Json | None:
    """The payment intent that an open invoice waits for."""
    tied = next(iter(payments_of(account, invoice)), None)
    return account.get(tied["payment"]["payment_intent"]) if tied else None


def pay(account: "Account", invoice: Json, method: Json, off_session: bool = True) -> Json:
    """Charge an open invoice to a payment method; the invoice then is paid, or waits for the cardholder.

    Raises StripeError: CardError when the card is declined, which counts as an attempt.
    """
    intent = intent_of(account, invoice)
    if invoice["status"] != "open" or intent is None:
        words = "Invoice is already paid" if invoice["status"] == "paid" else "This invoice can't be paid."
        raise StripeError(words, code="invoice_payment_not_allowed" if words[0] == "T" else None)
    try:
        intent = payments.confirm(account, intent, method, off_session)
    except StripeError:
        failed(account, invoice)
        raise
    return follow(account, invoice, intent)


def follow(account: "Account", invoice: Json, intent: Json) -> Json:
    """Draw the consequences of what became of an invoice's payment intent."""
    if intent["status"] == "succeeded":
        return mark_paid(account, invoice)
    if intent["status"] == "requires_payment_method":
        return failed(account, invoice)
    if intent["status"] == "requires_action":
        return ask_for_action(account, invoice)
    return account.change(invoice, attempted(invoice), "invoice.updated")


def attempted(invoice: Json) -> Json:
    """What an attempt changes whatever comes of it."""
    return {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}


def ask_for_action(account: "Account", invoice: Json) -> Json:
    """The cardholder must authenticate; unless it is the first payment, that is a failed attempt too."""
    if invoice["billing_reason"] == "subscription_create":
        account.change(invoice, attempted(invoice), "invoice.updated")
    else:
        failed(account, invoice)
    account.emit("invoice.payment_action_required", invoice)
    return invoice


def mark_paid(account: "Account", invoice: Json, out_of_band: bool = False) -> Json:
    """An invoice whose money is there, or which costs nothing."""
    tied = [] if out_of_band else payments_of(account, invoice)
    when = {"canceled_at": None, "paid_at": account.now()}
    for tie in tied:
        account.change(tie, {"status": "paid", "amount_paid": tie["amount_requested"], "status_transitions": when})
        account.emit("invoice_payment.paid", tie)
    changes = {
        "amount_paid": 0 if out_of_band else invoice["amount_due"],
        "amount_paid_off_stripe": invoice["amount_due"] if out_of_band else 0,
        "amount_remaining": 0,
        "attempted": True,
        "attempt_count": max(1, invoice["attempt_count"]) if tied else invoice["attempt_count"],
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": invoice["status_transitions"] | {"paid_at": account.now()},
    }
    account.change(invoice, changes, "invoice.updated")
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)
    dunning.paid(account, invoice)
    return invoice


def failed(account: "Account", invoice: Json) -> Json:
    """An attempt that brought no money."""
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    changes["next_payment_attempt"] = dunning.next_attempt(account, invoice)
    account.change(invoice, changes, "invoice.updated")
    account.emit("invoice.payment_failed", invoice)
    dunning.unpaid(account, invoice)
    return invoice


def close(account: "Account", invoice: Json, status: str) -> Json:
    """Void an invoice or give it up as uncollectible. Raises StripeError."""
    if invoice["status"] not in ("open", "uncollectible"):
        words = f"You can only pass in open invoices. This invoice isn't open (it is {invoice['status']})."
        raise StripeError(words)
    moment = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    when = invoice["status_transitions"] | {moment: account.now()}
    account.change(invoice, {"status": status, "status_transitions": when, "next_payment_attempt": None})
    intent = intent_of(account, invoice)
    if status == "void" and intent:
        account.change(
            intent, {"status": "canceled", "canceled_at": account.now(), "cancellation_reason": "void_invoice"}
        )
        account.emit("payment_intent.canceled", intent)
    account.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    return invoice


def default_method(account: "Account", invoice: Json) -> Json | None:
    """The payment method that an invoice is charged to: its own, the subscription's, the customer's."""
    customer = account.find("customer", invoice["customer"])
    parent = (invoice["parent"] or {}).get("subscription_details") or {}
    subscription = account.get(parent.get("subscription")) or {}
    choices = (
        invoice["default_payment_method"],
        subscription.get("default_payment_method"),
        customer["invoice_settings"]["default_payment_method"],
    )
    return next((method for id_ in choices if (method := account.get(id_))), None)


def collect(account: "Account", invoice: Json, off_session: bool = False) -> Json:
    """Finalize a draft and charge it; a decline leaves it open."""
    if invoice["status"] == "draft":
        invoice = finalize(account, invoice)
    if invoice["status"] != "open" or invoice["collection_method"] == "send_invoice":
        return invoice
    method = default_method(account, invoice)
    if method is None:
        return failed(account, invoice)
    try:
        return pay(account, invoice, method, off_session)
    except StripeError as error:
        if not error.keeps:
            raise
        return account.find("invoice", invoice["id"])
