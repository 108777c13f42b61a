"""Ledgers for tests: customers without a browser, and the invariant that holds after every change."""

from datetime import timedelta

from sqlalchemy import select

from portal import clock
from portal.accounts import users
from portal.credits import grants
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import CreditEntry, Customer


def a_customer(name: str = "dora", mode: str = "live") -> int:
    """Create a customer with an empty ledger, and return the id. Commits."""
    email = f"{name}@example.com"
    user = users.find(email) or users.create(email, password="only for tests")
    assert user is not None
    user.verified_at = clock.now()  # so that what comes by the address alone is theirs
    customer_id = stripe_customers.of(user, mode).id
    db.session.commit()
    return customer_id


def a_grant(customer_id: int, credits: int, days: float, reference: str = "welcome") -> int:
    """Grant credits that expire in so many days, and return the grant's id. Commits."""
    grant = grants.give(customer_id, credits, clock.now() + timedelta(days=days), reference)
    db.session.commit()
    return grant.id


def entries_of(customer_id: int) -> list[tuple[str, int, int]]:
    """Reason, amount and balance after of each entry, oldest first."""
    query = select(CreditEntry).filter_by(customer_id=customer_id).order_by(CreditEntry.id)
    return [(one.reason, one.amount, one.balance_after) for one in db.session.execute(query).scalars()]


def assert_balanced(customer_id: int) -> int:
    """Check that sum(entries) = last balance_after = stored balance, with open grants within it, and return it."""
    running = 0
    for _reason, amount, balance_after in entries_of(customer_id):
        running += amount
        assert balance_after == running
    db.session.expire_all()
    customer = db.session.get(Customer, customer_id)
    assert customer is not None
    assert customer.credit_balance == running
    still_open = grants.still_open(customer_id)
    assert customer.has_grants == bool(still_open)
    assert sum(grant.remaining for grant in still_open) <= max(running, 0)
    db.session.rollback()
    return running
