"""The lock under which everything that belongs to a customer changes."""

from sqlalchemy import select

from portal.extensions import db
from portal.models import Customer


def lock(customer_id: int) -> Customer:
    """Lock a customer until the transaction ends, ahead of what belongs to them; gives the row as it stands now.

    Keys that point to the row can be written meanwhile: it is locked FOR NO KEY UPDATE. See portal.models.locks.
    """
    query = select(Customer).filter_by(id=customer_id).with_for_update(of=Customer, key_share=True)
    return db.session.execute(query.execution_options(populate_existing=True)).scalar_one()
