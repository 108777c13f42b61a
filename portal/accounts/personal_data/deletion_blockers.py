"""What blocks the deletion of an account for now: payments in progress."""

from sqlalchemy import Exists, and_, exists, or_, select

from portal.customers import stripe_customers
from portal.errors import Conflict
from portal.extensions import db
from portal.models import (
    BillState,
    MonthlyBill,
    Order,
    OrderState,
    Payment,
    PaymentStatus,
    UsageDay,
    User,
)

UNPAID = (BillState.CLAIMED, BillState.INVOICED, BillState.FAILED, BillState.UNPAID)


class NotYet(Conflict):
    """The account cannot be deleted now. The message says why, and what to do."""

    code = "not_yet"
    title = "Your account cannot be deleted yet"


def check(user: User) -> None:
    """Raise NotYet while a payment is in progress, a bill is open, or usage is not billed yet, in live mode."""
    if user.role != "customer":
        raise NotYet("You work here. Have another admin take your role away first.")
    customer = stripe_customers.find(user)
    if customer is None:
        return
    obstacles = _obstacles(customer.id)
    stands = db.session.execute(select(*(found for _words, found in obstacles))).one()
    for (words, _found), is_there in zip(obstacles, stands, strict=True):
        if is_there:
            raise NotYet(words, action=("/history", "See your history"))


def _obstacles(customer_id: int) -> list[tuple[str, Exists]]:
    billed = exists().where(MonthlyBill.customer_id == UsageDay.customer_id, MonthlyBill.month == UsageDay.month)
    return [
        (
            "A payment of yours is on its way and not confirmed yet. Try again once it has arrived or failed.",
            exists().where(
                Order.customer_id == customer_id,
                Order.state == OrderState.OPEN,
                or_(Order.completed_at.is_not(None), Order.auto),
            ),
        ),
        (
            "A payment of yours is still being processed. Try again once it has arrived or failed.",
            exists().where(Payment.customer_id == customer_id, Payment.status == PaymentStatus.PROCESSING),
        ),
        (
            "A bill for usage is not paid yet. Pay it first.",
            exists().where(MonthlyBill.customer_id == customer_id, MonthlyBill.state.in_(UNPAID)),
        ),
        (
            "What you used this month is not billed yet. It is on the 1st; after you have paid it, try again.",
            exists().where(and_(UsageDay.customer_id == customer_id, ~billed)),
        ),
    ]
