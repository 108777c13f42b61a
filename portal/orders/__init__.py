"""Orders: what people buy, and the claims behind every call to Stripe that has an effect."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register how orders with an open call to Stripe are resumed."""
    from portal import jobs
    from portal.models import Order
    from portal.orders import off_session
    from portal.orders.documents import invoices
    from portal.sync import open_calls

    kind = open_calls.Kind(off_session.resume, off_session.give_up, off_session.reopen, off_session.words)
    open_calls.register(Order, kind)
    jobs.tasks |= {"open calls": open_calls.run, "order invoices": invoices.run}
