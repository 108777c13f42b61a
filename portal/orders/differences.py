"""Orders whose paid session differs from what was ordered: nothing is granted, and the admins see them."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, null, select, update

from portal import audit, clock
from portal.enums import Mode
from portal.errors import NotFound
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
    """Write on an order what its paid session differs in. Another difference opens a closed one again. Flushes."""
    differs = differs[:255]
    known = update(Order).where(Order.mode == mode, Order.number == number, Order.paid_at.is_(None))
    closed_at = case((Order.differs == differs, Order.difference_closed_at), else_=null())
    db.session.execute(known.values(differs=differs, difference_closed_at=closed_at))


def close(number: str) -> None:
    """Take an order off the overview without granting anything. Flushes. Raises NotFound."""
    done = update(Order).where(Order.number == number, is_differing()).values(difference_closed_at=clock.now())
    row = db.session.execute(done.returning(Order.customer_id, Order.differs)).one_or_none()
    if row is None:
        raise NotFound("Somebody has closed this already, or the order was fulfilled.")
    audit.record("order.difference_closed", customer_id=row[0], subject=number, after={"differs": row[1]})


def is_differing() -> ColumnElement[bool]:
    """Return the condition on Order that its paid session differs, and nobody has mended or closed it."""
    return Order.differs.is_not(None) & Order.difference_closed_at.is_(None)


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
