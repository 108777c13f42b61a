"""Usage that is taken back after its month was billed: by a credit note, claim → call → confirm.

What an event takes off its bill is exact over all corrections together: the line's amount, less what the rest of
its quantity costs. A note on a paid invoice adds to the customer's balance at Stripe, which pays later invoices;
one on an open invoice lowers what it asks for. What prepaid credits had paid comes back as credits.
"""

from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import func, select

from portal import audit, clock, gateway, money, quantities
from portal.catalogue import meters
from portal.credits import ledger
from portal.errors import PortalError, StripeRefused
from portal.extensions import db
from portal.models import (
    BillState,
    InvoiceStatus,
    Meter,
    MonthlyBill,
    MonthlyBillLine,
    UsageCorrection,
    UsageEvent,
)
from portal.sync import idempotency, locks, open_calls
from portal.usage.events import voids
from portal.usage.monthly_run.months import Month

log = structlog.get_logger()


@dataclass(frozen=True)
class Share:
    """The corrections made to a bill so far: in minor units, the part in credit notes, and the part in credits."""

    amount: int = 0
    credited: int = 0
    credits: int = 0


def take_back(customer_id: int, identifier: str, reason: str) -> voids.Voided:
    """Void usage, or correct its bill if its month is closed; once, however often it is called. Commits.

    Raises NotFound, MonthClosed while its month is being billed, StripeRefused, StripeUnavailable.
    """
    try:
        done = voids.void(customer_id, identifier, reason)
    except voids.MonthClosed:
        db.session.rollback()
    else:
        db.session.commit()
        return done
    row, is_new = _claim(customer_id, identifier, reason)
    if row.state in ("open", "refused"):
        _credit(row)
    return _shown(row, is_new)


def _shown(row: UsageCorrection, is_new: bool) -> voids.Voided:
    bill, meter = db.session.get_one(MonthlyBill, row.bill_id), db.session.get_one(Meter, row.meter_id)
    quantity = quantities.joined(row.units, row.nanos)
    back = voids.Back(row.amount, bill.currency, row.credits, row.credit_note_id)
    found = voids.Voided(meter.key, quantity, Month.of_number(bill.month), is_new, back)
    db.session.commit()
    return found


def _claim(customer_id: int, identifier: str, reason: str) -> tuple[UsageCorrection, bool]:
    """Return the correction of an event, and whether it is new. Commits."""
    locks.lock(customer_id)
    known = select(UsageCorrection).filter_by(customer_id=customer_id, identifier=identifier)
    row = db.session.execute(known).scalar_one_or_none()
    if row is not None:
        db.session.commit()
        return row, False
    event = db.session.get_one(UsageEvent, (customer_id, identifier))
    bill, line = _billed(event)
    row = _write(bill, line, event)
    meter = db.session.get_one(Meter, event.meter_id)
    facts = {"meter": meter.key, "quantity": quantities.wire(quantities.joined(event.units, event.nanos))}
    facts |= {"month": str(Month.of_number(bill.month)), "bill": str(bill.id)}
    after = facts | {"amount": row.amount, "currency": bill.currency, "credits": row.credits}
    audit.record("usage.corrected", customer_id=customer_id, subject=identifier, after=after, reason=reason)
    if row.credits:
        words = f"Correction of the bill for {Month.of_number(bill.month).words}"
        ledger.post(customer_id, row.credits, "reinstatement", f"correction:{row.id}", description=words)
    db.session.commit()
    return row, True


def _billed(event: UsageEvent) -> tuple[MonthlyBill, MonthlyBillLine]:
    """Return the bill and the line of an event. Raises MonthClosed if no bill can be corrected."""
    month = Month.of_number(event.month)
    query = (
        select(MonthlyBill, MonthlyBillLine)
        .join(MonthlyBillLine, MonthlyBillLine.bill_id == MonthlyBill.id)
        .where(MonthlyBill.customer_id == event.customer_id, MonthlyBill.month == event.month)
        .where(MonthlyBillLine.meter_id == event.meter_id)
    )
    found = db.session.execute(query).unique().one_or_none()
    if found is None or found[0].state not in BillState.billed():
        words = (
            "is void: nothing is owed for it."
            if found and found[0].state == BillState.VOID
            else "is being billed."
        )
        raise voids.MonthClosed(f"{month.words} {words}")
    return found[0], found[1]


def _write(bill: MonthlyBill, line: MonthlyBillLine, event: UsageEvent) -> UsageCorrection:
    """Return the row of a correction, with its share of the bill. Flushes."""
    mine = select(
        func.sum(UsageCorrection.units), func.sum(UsageCorrection.nanos), func.sum(UsageCorrection.amount)
    )
    before = db.session.execute(mine.filter_by(bill_id=bill.id, meter_id=line.meter_id)).one()
    units, nanos, amount = (int(one or 0) for one in before)
    rest = line.units - units - event.units, line.nanos - nanos - event.nanos
    left = meters.cost(line, *rest, bill.currency, included=line.included)
    off = max(0, line.amount - amount - left)
    credited, credits = _split(bill, off)
    row = UsageCorrection(
        customer_id=bill.customer_id,
        mode=bill.mode,
        bill_id=bill.id,
        meter_id=line.meter_id,
        identifier=event.identifier,
        units=event.units,
        nanos=event.nanos,
        amount=off,
        credited=credited,
        credits=credits,
        state="open" if credited else "done",
        created_at=clock.now(),
    )
    db.session.add(row)
    db.session.flush()
    return row


def _split(bill: MonthlyBill, off: int) -> tuple[int, int]:
    """Split an amount into the part of a credit note, in minor units, and the part in whole credits."""
    sums = (UsageCorrection.amount, UsageCorrection.credited, UsageCorrection.credits)
    found = db.session.execute(select(*map(func.sum, sums)).where(UsageCorrection.bill_id == bill.id)).one()
    before = Share(*(int(one or 0) for one in found))
    credited = min(off, max(0, bill.amount - bill.credits_amount - before.credited))
    by_credits = before.amount - before.credited + off - credited
    if not bill.credits or not by_credits:
        return credited, 0
    return credited, money.half_up(bill.credits * by_credits, bill.credits_amount) - before.credits


def _credit(row: UsageCorrection) -> None:
    """Create the credit note at Stripe, and record it. Commits. Raises StripeRefused, StripeUnavailable."""
    lane = gateway.of(row.mode)
    if row.params is None:
        row.params, row.state = _params(row), "open"
        db.session.commit()
    params = row.params
    try:
        note = idempotency.call(
            row,
            lambda key: lane.create_credit_note(params, key),
            find=lambda named: _found(row, named),
            money=True,
        )
    except StripeRefused as refused:
        row.params, row.state = None, "refused"  # the invoice may have been paid meanwhile: it is fetched again
        db.session.commit()
        log.warning("usage_not_credited", correction=row.id, code=refused.stripe_code)
        raise
    row.state, row.credit_note_id = "done", note.id
    db.session.commit()


def _params(row: UsageCorrection) -> dict[str, Any]:
    """Return the parameters of the credit note, from the invoice's current state at Stripe. Commits."""
    bill, meter = db.session.get_one(MonthlyBill, row.bill_id), db.session.get_one(Meter, row.meter_id)
    quantity = quantities.text(quantities.joined(row.units, row.nanos))
    words = f"Correction: {meter.name} {quantity}, {Month.of_number(bill.month).words}"
    line = {"type": "custom_line_item", "description": words, "quantity": 1, "unit_amount": row.credited}
    stamp = {"portal_mode": row.mode, "usage_correction": str(row.id)}
    invoice_id = str(bill.invoice_id)
    db.session.commit()
    is_paid = gateway.of(row.mode).invoice(invoice_id).status == InvoiceStatus.PAID
    back = {"credit_amount": row.credited} if is_paid else {}
    return {"invoice": invoice_id, "lines": [line], "metadata": stamp} | back


def _found(row: UsageCorrection, named: str) -> gateway.CreditNote | None:
    """Return the credit note that an earlier attempt created, or the one that an admin named."""
    bill_invoice = str((row.params or {}).get("invoice", ""))
    made = gateway.of(row.mode).credit_notes(bill_invoice)
    mine = str(row.id)
    return next((one for one in made if named == one.id or one.metadata.get("usage_correction") == mine), None)


def run() -> int:
    """Scheduled task: continue corrections that a crash left open, and return how many. Commits after each."""
    latest = clock.now() - open_calls.CALL_LIVES
    query = select(UsageCorrection).where(UsageCorrection.state == "open", UsageCorrection.created_at < latest)
    found = db.session.execute(query.order_by(UsageCorrection.id).limit(50)).scalars().all()
    db.session.commit()
    for row in found:
        try:
            _credit(row)
        except PortalError as reason:  # it is retried, and the others continue
            db.session.rollback()
            log.warning("usage_not_credited", correction=row.id, reason=reason.code)
    return len(found)


def resume(row: UsageCorrection) -> None:
    """Continue a correction with an unknown effect at Stripe. Commits."""
    if row.state in ("open", "unclear"):
        _credit(row)
    else:
        idempotency.close(row)


def give_up(row: UsageCorrection) -> None:
    """Leave the decision to an admin. Flushes."""
    if row.state == "open":
        row.state = "unclear"


def reopen(row: UsageCorrection) -> None:
    """Allow another attempt. Flushes."""
    if row.state == "unclear":
        row.state = "open"


def words(row: UsageCorrection) -> str:
    """Describe the call to Stripe."""
    bill = db.session.get_one(MonthlyBill, row.bill_id)
    amount = money.text(row.credited, bill.currency)
    return f"Credit note of {amount} for the usage of {Month.of_number(bill.month).words}"


KIND = open_calls.Kind(resume, give_up, reopen, words)
