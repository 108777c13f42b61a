"""Accounts for those who paid before they had one, and their names at Stripe."""

from sqlalchemy import select

from portal import clock
from portal.extensions import db, insert
from portal.models import Customer, StripeCustomer, User
from portal.purchases import customers


def user_of(email: str) -> tuple[User, bool]:
    """The mail's user, and whether it is new: then nobody can sign in until a mailed link sets a password."""
    made = db.session.execute(
        insert(User)
        .values(email=email, name="", timezone="UTC", created_at=clock.now())
        .on_conflict_do_nothing(index_elements=["email"])
        .returning(User.id)
    ).scalar_one_or_none()
    return db.session.execute(select(User).filter_by(email=email)).scalar_one(), made is not None


def add_name(customer: Customer, stripe_customer: str, email: str) -> None:
    """One more name at Stripe for this customer; the current one stays current. Flushes."""
    db.session.execute(
        insert(StripeCustomer)
        .values(
            customer_id=customer.id,
            mode=customer.mode,
            stripe_id=stripe_customer,
            email=email,
            is_current=customers.current(customer) is None,
            attempt=1,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(index_elements=["mode", "stripe_id"])
    )
