"""The lock that protects everything that belongs to a customer."""

from collections.abc import Callable

from sqlalchemy import select

from portal.extensions import db
from portal.models import Customer


def lock(customer_id: int) -> Customer:
    """Lock a customer until the transaction ends, before any of its rows, and return the current row.

    Foreign keys to the row can still be written: it is locked FOR NO KEY UPDATE. See portal.models.locks.
    """
    query = select(Customer).filter_by(id=customer_id).with_for_update(of=Customer, key_share=True)
    return db.session.execute(query.execution_options(populate_existing=True)).scalar_one()


def lock_owner(find: Callable[[], int | None]) -> int | None:
    """Lock the customer whose id `find` reads, and return the id; None if it finds none.

    An order of an unclaimed user may move to another customer between the read and the lock. So `find` runs again
    under the lock, until its result stays the same.
    """
    owner = find()
    while owner is not None:
        query = select(Customer).filter_by(id=owner).with_for_update(of=Customer, key_share=True)
        db.session.execute(query.execution_options(populate_existing=True)).first()
        found = find()
        if found == owner:
            break
        owner = found
    return owner
