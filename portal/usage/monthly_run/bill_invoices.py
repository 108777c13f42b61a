"""Creating the invoice of a claimed bill: credits first if the customer chose so, then claim → call → confirm.

The draft does not advance automatically, because Stripe would finalize after an hour what a crash left incomplete.
Only the complete draft is finalized, and then charged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import update

from portal import gateway, money, quantities
from portal.catalogue import meters
from portal.customers import stripe_customers
from portal.errors import PortalError
from portal.extensions import db
from portal.models import BillState, InvoiceStatus, MonthlyBill, MonthlyBillLine
from portal.sync import idempotency, open_calls
from portal.usage.included.units import Included
from portal.usage.monthly_run import bill_states, prepaid_credits
from portal.usage.monthly_run.months import Month

log = structlog.get_logger()

SKEW = timedelta(hours=1)  # for differences between clocks
CREDITS = "credits"  # the line for the part paid by prepaid credits
INCLUDED = ":included"  # after a meter's key, which contains no colon: its line for what is included


@dataclass(frozen=True)
class Item:
    """A line of the invoice: its name within the bill, and its parameters for Stripe."""

    name: str
    params: dict[str, Any]


def invoice(bill_id: int, *, is_new: bool) -> str:
    """Invoice a bill and return `invoiced`, `nothing`, `failed`, or `done` if another process did it. Commits.

    A bill that is not new may exist partly at Stripe: the existing parts are found by our own metadata and
    completed.
    """
    bill = db.session.get(MonthlyBill, bill_id, populate_existing=True)
    if bill is None or bill.state not in BillState.unbilled():
        db.session.commit()
        return "done"
    try:
        prepaid_credits.pay_first(bill)
        if bill.amount == bill.credits_amount:
            return _confirm(bill, {"state": BillState.NOTHING})
        facts = _at_stripe(bill, is_new=is_new)
        if not is_new:
            idempotency.close(bill)
    except Exception as error:  # recorded on its row; the others continue
        return _fail(bill, error)
    return _confirm(bill, {"state": bill_states.state_of(facts), "invoice_id": facts.id})


def _confirm(bill: MonthlyBill, values: dict[str, str]) -> str:
    """Write the result, unless a webhook was faster and has newer values."""
    statement = update(MonthlyBill).where(MonthlyBill.id == bill.id, MonthlyBill.state.in_(BillState.unbilled()))
    db.session.execute(statement.values(error=None, **values))
    db.session.commit()
    return "nothing" if values["state"] == BillState.NOTHING else "invoiced"


def _fail(bill: MonthlyBill, error: Exception) -> str:
    db.session.rollback()
    words = error.detail if isinstance(error, PortalError) else str(error)
    statement = update(MonthlyBill).where(
        MonthlyBill.id == bill.id, MonthlyBill.state.in_((BillState.CLAIMED, BillState.FAILED))
    )
    db.session.execute(statement.values(state=BillState.FAILED, error=f"{type(error).__name__}: {words}"))
    db.session.commit()
    log.error("bill_failed", bill=bill.id, customer=bill.customer_id, error=type(error).__name__)
    return "failed"


def resume(bill: MonthlyBill) -> None:
    """Continue a bill with an unknown effect at Stripe. Commits."""
    if invoice(bill.id, is_new=False) == "done":
        idempotency.close(bill)


def give_up(bill: MonthlyBill) -> None:
    """Leave the decision to an admin. Flushes."""
    if bill.state in BillState.unbilled():
        bill.state = BillState.UNCLEAR


def reopen(bill: MonthlyBill) -> None:
    """Allow another attempt. Flushes."""
    if bill.state == BillState.UNCLEAR:
        bill.state = BillState.CLAIMED


def words(bill: MonthlyBill) -> str:
    """Describe the call to Stripe."""
    month = Month.of_number(bill.month)
    return f"Invoice for the usage of {month.words}, {money.text(bill.amount, bill.currency)}"


KIND = open_calls.Kind(resume, give_up, reopen, words)


def _at_stripe(bill: MonthlyBill, *, is_new: bool) -> gateway.Invoice:
    lane = gateway.of(bill.mode)
    stripe_customer = stripe_customers.at_stripe(bill.customer)
    draft = None if is_new else _found(bill, stripe_customer)
    known = _names(lane.invoice_items(draft.id)) if draft and draft.status == InvoiceStatus.DRAFT else set()
    draft = draft or _drafted(bill, stripe_customer)
    if draft.status != InvoiceStatus.DRAFT:
        return draft
    for item in items(bill, draft):
        if item.name not in known:
            _add(bill, item)
    return idempotency.call(
        bill,
        lambda key: lane.finalize_invoice(draft.id, key),
        "final",
        find=lambda _named: _finalized(lane, draft.id),
    )


def _found(bill: MonthlyBill, stripe_customer: str, named: str = "") -> gateway.Invoice | None:
    """Return the invoice of an earlier attempt. A voided one still counts as that attempt's invoice.

    With `named`, return the invoice that an admin named, if its customer matches.
    """
    since = bill.created_at - SKEW
    made = gateway.of(bill.mode).invoices_since(stripe_customer, since)
    if named:
        return next((one for one in made if one.id == named), None)
    return next((one for one in made if one.metadata.get("monthly_bill") == str(bill.id)), None)


def _finalized(lane: gateway.Lane, invoice_id: str) -> gateway.Invoice | None:
    """Return the invoice if it is no longer a draft."""
    found = lane.invoice(invoice_id)
    return found if found.status != InvoiceStatus.DRAFT else None


def _names(made: list[gateway.InvoiceItem]) -> set[str]:
    return {item.metadata.get("line", "") for item in made}


def _drafted(bill: MonthlyBill, stripe_customer: str) -> gateway.Invoice:
    """Create a draft that does not include other pending items."""
    month = Month.of_number(bill.month)
    params = {
        "customer": stripe_customer,
        "currency": bill.currency,
        "auto_advance": False,
        "collection_method": "charge_automatically",
        "pending_invoice_items_behavior": "exclude",
        "description": f"Usage of {month.words}",
        "metadata": {
            "portal_mode": bill.mode,
            "kind": "usage",
            "month": str(month),
            "monthly_bill": str(bill.id),
        },
    }
    return idempotency.call(
        bill,
        lambda key: gateway.of(bill.mode).create_invoice(params, key),
        "draft",
        find=lambda named: _found(bill, stripe_customer, named),
        money=True,
    )


def _add(bill: MonthlyBill, item: Item) -> None:
    """Add a line to the draft. A duplicate line would be charged twice, so the call counts as a payment."""
    lane, draft = gateway.of(bill.mode), str(item.params["invoice"])

    def at_stripe(named: str) -> gateway.InvoiceItem | None:
        made = lane.invoice_items(draft)
        return next((one for one in made if named == one.id or one.metadata.get("line") == item.name), None)

    idempotency.call(
        bill, lambda key: lane.create_invoice_item(item.params, key), item.name, find=at_stripe, money=True
    )


def items(bill: MonthlyBill, draft: gateway.Invoice) -> list[Item]:
    """List the lines of each meter, and one for the part that credits paid."""
    month = Month.of_number(bill.month)
    common = {
        "customer": draft.customer,
        "invoice": draft.id,
        "currency": bill.currency,
        "period": {"start": int(month.start.timestamp()), "end": int(month.end.timestamp())},
    }
    found = [item for line in bill.lines for item in _metered(line, bill.currency, month, common)]
    if bill.credits:
        words = f"Paid with {bill.credits:,} prepaid credits"
        params = common | {"amount": -bill.credits_amount, "description": words, "metadata": {"line": CREDITS}}
        found.append(Item(CREDITS, params))
    return found


def _metered(line: MonthlyBillLine, currency: str, month: Month, common: dict[str, Any]) -> Iterator[Item]:
    """Yield a line at $0.00 for what is included, and one for what is used beyond it."""
    meter, quantity = line.meter, quantities.joined(line.units, line.nanos)
    used = Included(meter, line.included, quantity, month.end)
    about = {"meter": meter.key, "month": str(month)}
    if used.units:
        text, beyond = quantities.text(used.used), quantities.text(used.beyond)
        words = f"{meter.name}: {text} of {used.units:,} included, {beyond} beyond, {month.words}"
        numbers = {"quantity": quantities.wire(used.used), "included": str(used.units)}
        metadata = about | numbers | {"line": f"{meter.key}{INCLUDED}"}
        yield Item(metadata["line"], common | {"amount": 0, "description": words, "metadata": metadata})
    if used.beyond or not used.units:
        price = meters.in_words(line, currency)
        metadata = about | meters.wire(line) | {"line": meter.key, "quantity": quantities.wire(used.beyond)}
        words = f"{meter.name}: {quantities.text(used.beyond)} at {price}, {month.words}"
        yield Item(meter.key, common | {"amount": line.amount, "description": words, "metadata": metadata})
