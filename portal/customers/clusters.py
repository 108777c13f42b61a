"""The cluster that runs a customer's metered workloads: the least loaded of CLUSTERS."""

from sqlalchemy import func, select, update

from portal import audit
from portal.customers import access
from portal.extensions import db, rows_changed
from portal.models import Customer
from portal.settings import current_settings


def assign(customer_id: int) -> None:
    """Assign the cluster with the fewest customers, unless the customer has one. Flushes."""
    names = current_settings().clusters
    if not names:
        return
    counted = select(Customer.cluster, func.count()).where(Customer.cluster.in_(names)).group_by(Customer.cluster)
    load = {row[0]: row[1] for row in db.session.execute(counted)}
    chosen = min(names, key=lambda name: load.get(name, 0))
    statement = update(Customer).where(Customer.id == customer_id, Customer.cluster.is_(None))
    if rows_changed(statement.values(cluster=chosen)):
        access.mark_changed(customer_id)  # the API returns it with the entitlements
        audit.record("customer.cluster_assigned", customer_id=customer_id, after={"cluster": chosen})
