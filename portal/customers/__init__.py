"""A user's billing identity: its customers at Stripe, access, suspensions, and plans that were given."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the scheduled tasks."""
    from portal import jobs
    from portal.customers import email_sync, given_plans

    jobs.tasks |= {"addresses": email_sync.tell, "given plans": given_plans.sweep}
