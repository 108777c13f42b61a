"""The state of a month's bill after it was invoiced: paid, unpaid, or overdue."""

from datetime import timedelta

from sqlalchemy import Select, String, and_, cast, exists, literal, select
from sqlalchemy.orm import selectinload

from portal import clock, gateway
from portal.credits import ledger
from portal.customers import suspensions
from portal.extensions import db
from portal.models import BillState, CreditEntry, Invoice, InvoiceStatus, MonthlyBill, Suspension
from portal.models.suspension import SuspensionReason
from portal.settings import current_settings
from portal.sync import locks
from portal.usage.monthly_run.months import Month

SHOWN = 12  # bills on the page
TOGETHER = 500  # customers suspended per run
WITH_PAGE = select(MonthlyBill, Invoice.hosted_url).outerjoin(
    Invoice, and_(Invoice.mode == MonthlyBill.mode, Invoice.stripe_id == MonthlyBill.invoice_id)
)


def follow(customer_id: int, facts: gateway.Invoice) -> None:
    """Sync a bill with its invoice; a payment lifts `unpaid`. Flushes."""
    bill = _of(customer_id, facts)
    if bill is None:
        return
    bill.invoice_id, bill.state = facts.id, state_of(facts)
    bill.error = None  # from an earlier attempt; a webhook may be faster than the run that succeeded
    if bill.state == BillState.UNPAID:
        bill.unpaid_since = bill.unpaid_since or facts.created
    else:
        bill.unpaid_since = None
    db.session.flush()
    if bill.state == BillState.VOID and bill.credits:
        give_back(bill, bill.credits)
    if bill.state in (BillState.PAID, BillState.VOID) and not overdue(customer_id):
        suspensions.lift(customer_id, SuspensionReason.UNPAID, about=facts.id)


def give_back(bill: MonthlyBill, credits: int) -> None:
    """Return the credits that paid a part of a voided bill, once. Flushes.

    They do not expire, even if they did before.
    """
    words = f"Void bill for {Month.of_number(bill.month).words}"
    ledger.post(bill.customer_id, credits, "reinstatement", f"bill:{bill.id}", description=words)


def owing_credits() -> Select[MonthlyBill]:
    """Select the void bills whose credits were not returned."""
    returned = exists().where(
        CreditEntry.customer_id == MonthlyBill.customer_id,
        CreditEntry.reason == "reinstatement",
        CreditEntry.reference == literal("bill:") + cast(MonthlyBill.id, String),
    )
    return select(MonthlyBill).where(MonthlyBill.state == BillState.VOID, MonthlyBill.credits > 0, ~returned)


def settle(customer_id: int) -> None:
    """Return the credits of bills that became void before this was automatic. Flushes."""
    locks.lock(customer_id)
    for bill in db.session.execute(owing_credits().filter_by(customer_id=customer_id)).scalars():
        give_back(bill, bill.credits or 0)


def state_of(facts: gateway.Invoice) -> BillState:
    """Return a bill's state once it has an invoice."""
    if InvoiceStatus(facts.status).is_final:
        return BillState(facts.status)
    return BillState.UNPAID if facts.attempted else BillState.INVOICED


def _of(customer_id: int, facts: gateway.Invoice) -> MonthlyBill | None:
    """Return the bill of an invoice that is ours. A draft is still being written and is reported by the run."""
    named = facts.metadata.get("monthly_bill", "")
    if facts.status == InvoiceStatus.DRAFT or not named.isdigit():
        return None
    query = select(MonthlyBill).filter_by(id=int(named), customer_id=customer_id)
    bill = db.session.execute(query).scalar_one_or_none()
    return bill if bill and bill.invoice_id in (None, facts.id) else None


def overdue(customer_id: int) -> list[MonthlyBill]:
    """List a customer's unpaid bills that are overdue."""
    query = _overdue().where(MonthlyBill.customer_id == customer_id)
    return list(db.session.execute(query.order_by(MonthlyBill.id)).scalars())


def _overdue() -> Select[MonthlyBill]:
    latest = clock.now() - timedelta(days=current_settings().grace_days)
    return select(MonthlyBill).where(MonthlyBill.state == BillState.UNPAID, MonthlyBill.unpaid_since < latest)


def newest(customer_id: int) -> list[tuple[MonthlyBill, str | None]]:
    """List the last year's bills, newest first, each with the URL of its invoice's page. Runs two queries."""
    query = WITH_PAGE.where(MonthlyBill.customer_id == customer_id).order_by(MonthlyBill.month.desc())
    found = db.session.execute(query.limit(SHOWN).options(selectinload(MonthlyBill.lines)))
    return [(bill, url) for bill, url in found]


def to_pay(customer_id: int) -> list[tuple[MonthlyBill, str | None]]:
    """List the unpaid bills, oldest first, each with the URL of its invoice's page."""
    query = WITH_PAGE.where(MonthlyBill.customer_id == customer_id, MonthlyBill.state == BillState.UNPAID)
    return [(bill, url) for bill, url in db.session.execute(query.order_by(MonthlyBill.month))]


def sweep() -> int:
    """Scheduled task: suspend customers with overdue bills, and return how many. Commits."""
    told = exists().where(
        Suspension.customer_id == MonthlyBill.customer_id,
        Suspension.reason == SuspensionReason.UNPAID,
        Suspension.lifted_at.is_(None),
    )
    query = _overdue().where(~told).order_by(MonthlyBill.customer_id).limit(TOGETHER)
    found = list(db.session.execute(query).scalars())
    db.session.commit()
    for bill in found:  # one transaction each, so that two processes that lock customers never wait for each other
        suspensions.add(bill.customer_id, SuspensionReason.UNPAID, bill.invoice_id or "")
        db.session.commit()
    return len({bill.customer_id for bill in found})
