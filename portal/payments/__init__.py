"""Every payment that concerns us, its refunds and disputes, and their consequences."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register how refunds are resumed, and the scheduled task that does so."""
    from portal import jobs
    from portal.models import RefundRequest
    from portal.payments import refunds
    from portal.sync import open_calls

    open_calls.register(RefundRequest, refunds.KIND)
    jobs.tasks["refunds"] = refunds.run
