"""Credits: packages, the ledger, what takes them back, and the history of it all."""

from typing import Any

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages, and what a purchase of credits gives and takes back."""
    from flask_login import current_user

    from portal import calls, jobs
    from portal.credits import (
        api,
        grants,
        history_views,
        low_balance,
        payments,
        purchase_api,
        purchasing,
        reversals,
        topup_views,
        topups,
        views,
    )
    from portal.payments.takes import Source, sources, takes
    from portal.purchases import customers, off_session
    from portal.purchases.gives import Give, gives

    # In this order: what has expired counts no more, and a top-up may spare the mail.
    jobs.chores |= {"grants": grants.sweep, "top-ups": topups.run, "low balance": low_balance.run}
    off_session.pays["credits"] = off_session.Pay(topups.pay, topups.given_up)
    gives["credits"] = Give(read=purchasing.read_bought, write=purchasing.give)
    takes["credits"] = reversals.take
    sources["order"] = Source(read=payments.read, apply=payments.apply)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(topup_views.blueprint)
    app.register_blueprint(history_views.blueprint)
    calls.register(app, api.blueprint, purchase_api.blueprint)

    @app.context_processor
    def _balance() -> dict[str, Any]:
        """`credit_balance` for the header; asked only where the header is drawn."""
        return {"credit_balance": lambda: getattr(customers.find(current_user.user), "credit_balance", 0)}
