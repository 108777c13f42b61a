"""What became of a month's bill once it was invoiced: paid, unpaid, or overdue."""

from datetime import timedelta

from sqlalchemy import Select, String, and_, cast, exists, literal, select

from portal import clock, gateway
from portal.credits import ledger
from portal.customers import locks, suspensions
from portal.extensions import db
from portal.models import CreditEntry, Invoice, MonthlyBill, Suspension
from portal.models.suspension import SuspensionReason
from portal.settings import current_settings
from portal.usage.months import Month

SHOWN = 12  # bills on the page
TOGETHER = 500  # customers that one run suspends
WITH_PAGE = select(MonthlyBill, Invoice.hosted_url).outerjoin(
    Invoice, and_(Invoice.mode == MonthlyBill.mode, Invoice.stripe_id == MonthlyBill.invoice_id)
)


def follow(customer_id: int, facts: gateway.Invoice) -> None:
    """Bring the bill behind an invoice to where the invoice is; paying lifts `unpaid`. Flushes."""
    bill = _of(customer_id, facts)
    if bill is None:
        return
    bill.invoice_id, bill.state = facts.id, state_of(facts)
    bill.error = None  # of an earlier try; a webhook may be faster than the run that succeeded
    if bill.state == "unpaid":
        bill.unpaid_since = bill.unpaid_since or facts.created
    else:
        bill.unpaid_since = None
    db.session.flush()
    if bill.state == "void" and bill.credits:
        give_back(bill, bill.credits)
    if bill.state in ("paid", "void") and not overdue(customer_id):
        suspensions.lift(customer_id, SuspensionReason.UNPAID, about=facts.id)


def give_back(bill: MonthlyBill, credits: int) -> None:
    """Put back the credits that paid a part of a bill which is void, once. Flushes.

    They do not expire, whatever they were before.
    """
    words = f"Void bill for {Month.of_number(bill.month).words}"
    ledger.post(bill.customer_id, credits, "reinstatement", f"bill:{bill.id}", description=words)


def owing_credits() -> Select[MonthlyBill]:
    """The void bills that were paid with credits which did not come back."""
    returned = exists().where(
        CreditEntry.customer_id == MonthlyBill.customer_id,
        CreditEntry.reason == "reinstatement",
        CreditEntry.reference == literal("bill:") + cast(MonthlyBill.id, String),
    )
    return select(MonthlyBill).where(MonthlyBill.state == "void", MonthlyBill.credits > 0, ~returned)


def settle(customer_id: int) -> None:
    """Give back the credits of bills that became void before that was done at once. Flushes."""
    locks.lock(customer_id)
    for bill in db.session.execute(owing_credits().filter_by(customer_id=customer_id)).scalars():
        give_back(bill, bill.credits or 0)


def state_of(facts: gateway.Invoice) -> str:
    """A bill's state once its invoice is there."""
    if facts.status in ("paid", "void"):
        return facts.status
    return "unpaid" if facts.attempted else "invoiced"


def _of(customer_id: int, facts: gateway.Invoice) -> MonthlyBill | None:
    """The bill that an invoice of ours names; a draft is still being written, and told of by the run."""
    named = facts.metadata.get("monthly_bill", "")
    if facts.status == "draft" or not named.isdigit():
        return None
    query = select(MonthlyBill).filter_by(id=int(named), customer_id=customer_id)
    bill = db.session.execute(query).scalar_one_or_none()
    return bill if bill and bill.invoice_id in (None, facts.id) else None


def overdue(customer_id: int) -> list[MonthlyBill]:
    """A customer's unpaid bills whose time to pay is over."""
    query = _overdue().where(MonthlyBill.customer_id == customer_id)
    return list(db.session.execute(query.order_by(MonthlyBill.id)).scalars())


def _overdue() -> Select[MonthlyBill]:
    latest = clock.now() - timedelta(days=current_settings().grace_days)
    return select(MonthlyBill).where(MonthlyBill.state == "unpaid", MonthlyBill.unpaid_since < latest)


def newest(customer_id: int) -> list[tuple[MonthlyBill, str | None]]:
    """The last year's bills, the newest first, each with the address of its invoice's page. One query."""
    query = WITH_PAGE.where(MonthlyBill.customer_id == customer_id).order_by(MonthlyBill.month.desc())
    return [(bill, url) for bill, url in db.session.execute(query.limit(SHOWN))]


def to_pay(customer_id: int) -> list[tuple[MonthlyBill, str | None]]:
    """The unpaid bills, the oldest first, each with the address of its invoice's page."""
    query = WITH_PAGE.where(MonthlyBill.customer_id == customer_id, MonthlyBill.state == "unpaid")
    return [(bill, url) for bill, url in db.session.execute(query.order_by(MonthlyBill.month))]


def sweep() -> int:
    """The tick's chore: suspend whose time to pay is over; gives how many. Commits."""
    told = exists().where(
        Suspension.customer_id == MonthlyBill.customer_id,
        Suspension.reason == SuspensionReason.UNPAID,
        Suspension.lifted_at.is_(None),
    )
    query = _overdue().where(~told).order_by(MonthlyBill.customer_id).limit(TOGETHER)
    found = list(db.session.execute(query).scalars())
    db.session.commit()
    for bill in found:  # a transaction each: of two that lock customers none waits for the other
        suspensions.add(bill.customer_id, SuspensionReason.UNPAID, bill.invoice_id or "")
        db.session.commit()
    return len({bill.customer_id for bill in found})
