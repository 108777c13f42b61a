"""A claimed bill becomes an invoice: credits first where the customer chose so, then claim → call → confirm.

The draft does not advance by itself, or Stripe would finalise after an hour what a crash left half written.
Only the finished one is handed over, to be charged.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import update

from portal import gateway, money
from portal.errors import PortalError
from portal.extensions import db
from portal.models import MonthlyBill, MonthlyBillLine
from portal.purchases import claims, customers, open_calls
from portal.usage import bills, prepaid, quantities
from portal.usage.months import Month

log = structlog.get_logger()

PENDING = ("claimed", "failed", "unclear")
SKEW = timedelta(hours=1)  # no two clocks agree
CREDITS = "credits"  # the line that prepaid credits take off


@dataclass(frozen=True)
class Item:
    """A line of the invoice: its name among the bill's, and what Stripe is told."""

    name: str
    params: dict[str, Any]


def invoice(bill_id: int, *, is_new: bool) -> str:
    """Bring a bill to Stripe; gives `invoiced`, `nothing`, `failed`, or `done` where another did it. Commits.

    A bill that is not new may be there in part: what there is, is found by our own metadata and completed.
    """
    bill = db.session.get(MonthlyBill, bill_id, populate_existing=True)
    if bill is None or bill.state not in PENDING:
        db.session.commit()
        return "done"
    try:
        prepaid.pay_first(bill)
        if bill.amount == bill.credits_amount:
            return _confirm(bill, {"state": "nothing"})
        facts = _at_stripe(bill, is_new=is_new)
        if not is_new:
            claims.close(bill)
    except Exception as error:  # recorded on its row; the others go on
        return _fail(bill, error)
    return _confirm(bill, {"state": bills.state_of(facts), "invoice_id": facts.id})


def _confirm(bill: MonthlyBill, values: dict[str, str]) -> str:
    """Unless a webhook was faster and knows better."""
    statement = update(MonthlyBill).where(MonthlyBill.id == bill.id, MonthlyBill.state.in_(PENDING))
    db.session.execute(statement.values(error=None, **values))
    db.session.commit()
    return "nothing" if values["state"] == "nothing" else "invoiced"


def _fail(bill: MonthlyBill, error: Exception) -> str:
    db.session.rollback()
    words = error.detail if isinstance(error, PortalError) else str(error)
    statement = update(MonthlyBill).where(MonthlyBill.id == bill.id, MonthlyBill.state.in_(("claimed", "failed")))
    db.session.execute(statement.values(state="failed", error=f"{type(error).__name__}: {words}"))
    db.session.commit()
    log.error("bill_failed", bill=bill.id, customer=bill.customer_id, error=type(error).__name__)
    return "failed"


def resume(bill: MonthlyBill) -> None:
    """Go on with a bill whose effect at Stripe is open. Commits."""
    if invoice(bill.id, is_new=False) == "done":
        claims.close(bill)


def give_up(bill: MonthlyBill) -> None:
    """A person decides about it. Flushes."""
    if bill.state in PENDING:
        bill.state = "unclear"


def reopen(bill: MonthlyBill) -> None:
    """It is tried again. Flushes."""
    if bill.state == "unclear":
        bill.state = "claimed"


def words(bill: MonthlyBill) -> str:
    """What Stripe was asked for."""
    month = Month.of_number(bill.month)
    return f"Invoice for the usage of {month.words}, {money.text(bill.amount, bill.currency)}"


KIND = open_calls.Kind(resume, give_up, reopen, words)


def _at_stripe(bill: MonthlyBill, *, is_new: bool) -> gateway.Invoice:
    lane = gateway.of(bill.mode)
    stripe_customer = customers.at_stripe(bill.customer)
    draft = None if is_new else _found(bill, stripe_customer)
    known = _names(lane.invoice_items(draft.id)) if draft and draft.status == "draft" else set()
    draft = draft or _drafted(bill, stripe_customer)
    if draft.status != "draft":
        return draft
    for item in items(bill, draft):
        if item.name not in known:
            _add(bill, item)
    return claims.call(
        bill,
        lambda key: lane.finalize_invoice(draft.id, key),
        "final",
        find=lambda _named: _finalized(lane, draft.id),
    )


def _found(bill: MonthlyBill, stripe_customer: str, named: str = "") -> gateway.Invoice | None:
    """What an earlier try made. One that was voided is no bill any more, and stands for it all the same.

    With `named` the one that a person named, if it is this customer's.
    """
    since = bill.created_at - SKEW
    made = gateway.of(bill.mode).invoices_since(stripe_customer, since)
    if named:
        return next((one for one in made if one.id == named), None)
    return next((one for one in made if one.metadata.get("monthly_bill") == str(bill.id)), None)


def _finalized(lane: gateway.Lane, invoice_id: str) -> gateway.Invoice | None:
    """The invoice, once it is no draft any more."""
    found = lane.invoice(invoice_id)
    return found if found.status != "draft" else None


def _names(made: list[gateway.InvoiceItem]) -> set[str]:
    return {item.metadata.get("line", "") for item in made}


def _drafted(bill: MonthlyBill, stripe_customer: str) -> gateway.Invoice:
    """A draft that takes along nothing that is pending otherwise."""
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
    return claims.call(
        bill,
        lambda key: gateway.of(bill.mode).create_invoice(params, key),
        "draft",
        find=lambda named: _found(bill, stripe_customer, named),
        money=True,
    )


def _add(bill: MonthlyBill, item: Item) -> None:
    """Put a line on the draft. One that came twice would be charged twice, so it is money too."""
    lane, draft = gateway.of(bill.mode), str(item.params["invoice"])

    def at_stripe(named: str) -> gateway.InvoiceItem | None:
        made = lane.invoice_items(draft)
        return next((one for one in made if named == one.id or one.metadata.get("line") == item.name), None)

    claims.call(
        bill, lambda key: lane.create_invoice_item(item.params, key), item.name, find=at_stripe, money=True
    )


def items(bill: MonthlyBill, draft: gateway.Invoice) -> list[Item]:
    """A line for each meter, and one for what credits paid."""
    month = Month.of_number(bill.month)
    common = {
        "customer": draft.customer,
        "invoice": draft.id,
        "currency": bill.currency,
        "period": {"start": int(month.start.timestamp()), "end": int(month.end.timestamp())},
    }
    found = [_metered(line, bill.currency, month, common) for line in bill.lines]
    if bill.credits:
        words = f"Paid with {bill.credits:,} prepaid credits"
        params = common | {"amount": -bill.credits_amount, "description": words, "metadata": {"line": CREDITS}}
        found.append(Item(CREDITS, params))
    return found


def _metered(line: MonthlyBillLine, currency: str, month: Month, common: dict[str, Any]) -> Item:
    quantity, meter = quantities.joined(line.units, line.nanos), line.meter
    price = money.price_text(line.unit_price, line.per, currency)
    metadata = {
        "line": meter.key,
        "meter": meter.key,
        "quantity": quantities.wire(quantity),
        "unit_price": f"{line.unit_price:f}",
        "per": str(line.per),
        "month": str(month),
    }
    words = f"{meter.name}: {quantities.text(quantity)} at {price}, {month.words}"
    return Item(meter.key, common | {"amount": line.amount, "description": words, "metadata": metadata})
