"""Accounts for those who paid before they had one, and their names at Stripe."""

from portal import clock
from portal.extensions import db, insert
from portal.models import Customer, StripeCustomer, User
from portal.purchases import customers, owners


def user_of(email: str) -> tuple[User, bool]:
    """The mail's user, and whether it is new: then nobody can sign in until a mailed link sets a password."""
    found = owners.account(email) or next(iter(owners.waiting(email)), None)
    if found is not None:
        return found, False
    user = User(email=email, created_at=clock.now())
    db.session.add(user)
    db.session.flush()
    return user, True


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
