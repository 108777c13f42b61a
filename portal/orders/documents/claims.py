"""The claims of orders' invoices, written in the transaction in which an order is paid."""

from portal import clock, gateway
from portal.extensions import db, insert
from portal.models import Order, OrderInvoice
from portal.settings import current_settings

STAMP = "order_document"  # in the metadata of such an invoice: its order's number


def write(order: Order) -> None:
    """Claim the invoice of a paid order, if INVOICES_FOR_ORDERS asks for them. Flushes.

    A subscription has invoices of its own, and what costs nothing needs none.
    """
    if not current_settings().invoices_for_orders or order.interval is not None or not order.amount:
        return
    now = clock.now()
    row = {
        "mode": order.mode,
        "customer_id": order.customer_id,
        "order_id": order.id,
        "state": "open",
        "attempt": 1,
        "params": {},
        "tries": 0,
        "next_at": now,
        "created_at": now,
    }
    db.session.execute(insert(OrderInvoice).values(row).on_conflict_do_nothing(index_elements=["order_id"]))


def is_document(invoice: gateway.Invoice) -> bool:
    """Return whether an invoice is the document of an order, whose payment is recorded already."""
    return STAMP in invoice.metadata
