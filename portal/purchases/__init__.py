"""Orders: what people buy, and the claims behind every call to Stripe that has an effect."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register how orders go on whose calls to Stripe have an open effect."""
    from portal import jobs
    from portal.models import Purchase
    from portal.purchases import off_session, open_calls

    kind = open_calls.Kind(off_session.resume, off_session.give_up, off_session.reopen, off_session.words)
    open_calls.register(Purchase, kind)
    jobs.chores["open calls"] = open_calls.run
