"""Orders whose paid session differs from what was ordered: nothing is granted, and the admins see them."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update

from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, Order, User

SHOWN = 50


@dataclass(frozen=True)
class Differing:
    """Such an order and its customer."""

    order: Order
    user_id: int
    email: str


def note(mode: Mode, number: str, differs: str) -> None:
    """Write on an order what its paid session differs in. Flushes."""
    known = update(Order).where(Order.mode == mode, Order.number == number, Order.paid_at.is_(None))
    db.session.execute(known.values(differs=differs[:255]))


def is_differing() -> ColumnElement[bool]:
    """Return the condition on Order that its paid session differs, and nobody has mended it."""
    return Order.differs.is_not(None)


def still() -> list[Differing]:
    """List these orders, newest first."""
    query = (
        select(Order, User.id, User.email)
        .join(Customer, Customer.id == Order.customer_id)
        .join(User, User.id == Customer.user_id)
        .where(is_differing())
        .order_by(Order.id.desc())
        .limit(SHOWN)
    )
    return [Differing(order, user_id, email) for order, user_id, email in db.session.execute(query)]
