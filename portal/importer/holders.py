"""The customers that a file of an earlier system names: by address, by Stripe's id or by ours."""

from sqlalchemy import exists, select

from portal import audit
from portal.customers import owners, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import AuditEntry, Customer, User

IMPORTED = "customer.imported"  # the audit log's action for an unclaimed user that a file created
BROUGHT = ("customer.adopted", IMPORTED)
LONGEST_ID = 18  # digits, within 64 bits


def find(word: str, mode: Mode) -> Customer | None:
    """Return the customer that a word names; None for an address without one.

    For an address it is that of the account that has verified it, else that of the unclaimed user whom an earlier
    import created. Raises InvalidInput for an unknown id, and if several customers wait for the address.
    """
    if word.startswith("cus_"):
        return _living(stripe_customers.by_stripe_id(mode, word), mode, "run `flask customers import` first")
    if word.isascii() and word.isdigit() and len(word) <= LONGEST_ID:
        return _living(db.session.get(Customer, int(word)), mode, "it is no customer's id")
    if not owners.is_address(owners.normalized(word)):
        raise InvalidInput("The customer is an email address, an id of Stripe's (cus_…) or an id of ours.")
    account = owners.proven(word)
    if account is not None:
        return db.session.execute(select(Customer).filter_by(user_id=account.id, mode=mode)).scalar_one_or_none()
    found = _brought(word, mode)
    if len(found) > 1:
        raise InvalidInput(
            "Several customers of the Stripe account have this address: name one by its id (cus_…)."
        )
    return found[0] if found else None


def of(word: str, mode: Mode) -> Customer:
    """Return the same, creating the customer of an address that has none. Flushes. Raises InvalidInput."""
    customer = find(word, mode)
    if customer is None:
        user = owners.of(word)
        customer = stripe_customers.of(user, mode)
        if not user.is_claimed:
            audit.record(IMPORTED, customer_id=customer.id, user_id=user.id)
    return customer


def _living(customer: Customer | None, mode: Mode, advice: str) -> Customer:
    if customer is None or customer.mode != mode or customer.user.deleted_at is not None:
        raise InvalidInput(f"There is no such customer in {mode} mode: {advice}.")
    return customer


def _brought(email: str, mode: Mode) -> list[Customer]:
    """List the customers who wait for this address because an operator imported them.

    Those of a purchase are left out: its buyer, who holds its key, may have typed another person's address.
    """
    brought = exists().where(AuditEntry.customer_id == Customer.id, AuditEntry.action.in_(BROUGHT))
    mine = (User.email == owners.normalized(email), *owners.WAITING, Customer.mode == mode)
    query = select(Customer).join(User, User.id == Customer.user_id).where(*mine, brought)
    return list(db.session.execute(query.order_by(Customer.id)).scalars())
