"""Where a customer's metered work runs: the least loaded of CLUSTERS (seed 5)."""

from sqlalchemy import func, select, update

from portal import audit
from portal.extensions import changed, db
from portal.models import Customer
from portal.settings import current_settings


def assign(customer_id: int) -> None:
    """Give a customer the cluster with the fewest customers, unless they have one. Flushes."""
    names = current_settings().clusters
    if not names:
        return
    counted = select(Customer.cluster, func.count()).where(Customer.cluster.in_(names)).group_by(Customer.cluster)
    load = {row[0]: row[1] for row in db.session.execute(counted)}
    chosen = min(names, key=lambda name: load.get(name, 0))
    statement = update(Customer).where(Customer.id == customer_id, Customer.cluster.is_(None))
    if changed(statement.values(cluster=chosen)):
        audit.record("customer.cluster_assigned", customer_id=customer_id, after={"cluster": chosen})
