"""What became of a month's bill once it was invoiced: paid, unpaid, or overdue."""

from datetime import timedelta

from sqlalchemy import and_, select, update

from portal import clock, gateway
from portal.extensions import db
from portal.models import Invoice, MonthlyBill
from portal.settings import current_settings
from portal.usage import suspension

SHOWN = 12  # bills on the page


def follow(customer_id: int, facts: gateway.Invoice) -> None:
    """Bring the bill behind an invoice to where the invoice is. A payment lifts a suspension. Flushes."""
    bill = _of(customer_id, facts)
    if bill is None:
        return
    bill.invoice_id, bill.state = facts.id, state_of(facts)
    if bill.state == "unpaid":
        bill.unpaid_since = bill.unpaid_since or facts.created
    else:
        bill.unpaid_since = None
    db.session.flush()
    if bill.state in ("paid", "void") and not overdue(customer_id):
        suspension.reactivate(customer_id, "unpaid", about=facts.id)


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


def overdue(customer_id: int | None = None) -> list[MonthlyBill]:
    """The unpaid bills whose time to pay is over, of one customer or of all."""
    latest = clock.now() - timedelta(days=current_settings().grace_days)
    query = select(MonthlyBill).where(MonthlyBill.state == "unpaid", MonthlyBill.unpaid_since < latest)
    if customer_id is not None:
        query = query.where(MonthlyBill.customer_id == customer_id)
    return list(db.session.execute(query.order_by(MonthlyBill.id)).scalars())


def reactivate(customer_id: int, about: str) -> None:
    """A payment method lets a suspended customer go on; what is unpaid gets its time anew. Flushes."""
    if suspension.reactivate(customer_id, "subscription_ended", "no_payment_method", "unpaid", about=about):
        unpaid = update(MonthlyBill).where(MonthlyBill.customer_id == customer_id, MonthlyBill.state == "unpaid")
        db.session.execute(unpaid.values(unpaid_since=clock.now()))


def newest(customer_id: int) -> list[tuple[MonthlyBill, str | None]]:
    """The last year's bills, the newest first, each with the address of its invoice's page. One query."""
    joined = and_(Invoice.mode == MonthlyBill.mode, Invoice.stripe_id == MonthlyBill.invoice_id)
    query = select(MonthlyBill, Invoice.hosted_url).outerjoin(Invoice, joined)
    query = query.where(MonthlyBill.customer_id == customer_id).order_by(MonthlyBill.month.desc())
    return [(bill, url) for bill, url in db.session.execute(query.limit(SHOWN))]


def sweep() -> int:
    """The tick's chore: suspend whose time to pay is over; gives how many. Commits."""
    done = sum(suspension.suspend(bill.customer_id, "unpaid", bill.invoice_id or "") for bill in overdue())
    db.session.commit()
    return done
