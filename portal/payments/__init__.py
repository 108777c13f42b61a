"""Every payment that concerns us, what takes it back, and what follows from that."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register how refunds go on, and the chore that carries them out."""
    from portal import jobs
    from portal.models import RefundOrder
    from portal.payments import issue
    from portal.purchases import open_calls

    open_calls.register(RefundOrder, issue.KIND)
    jobs.chores["refunds"] = issue.run
