"""Credits: packages, the ledger, reversals, and the history."""

from typing import Any

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages, and what an order of credits grants and reverses."""
    from flask_login import current_user

    from portal import jobs
    from portal.api import calls
    from portal.catalogue import packages
    from portal.credits import api, grants, low_balance, views
    from portal.credits.history import views as history_views
    from portal.credits.included import giving, warnings
    from portal.credits.orders import api as orders_api
    from portal.credits.orders import fulfillment, payments, reversals
    from portal.credits.top_ups import top_ups
    from portal.credits.top_ups import views as top_ups_views
    from portal.customers import stripe_customers
    from portal.orders import off_session
    from portal.orders.kinds import Give, gives
    from portal.payments.reversal_effects import Source, sources, takes

    # The order matters: expired credits no longer count, and a top-up can make the mail unnecessary.
    jobs.tasks |= {
        "grants": grants.sweep,
        "included credits": giving.run,
        "included credits used": warnings.run,
        "top-ups": top_ups.run,
        "low balance": low_balance.run,
    }
    off_session.pays["top_up"] = off_session.Pay(top_ups.go_on, top_ups.given_up)
    gives["credits"] = Give(read=fulfillment.read_bought, write=fulfillment.give, sold=packages.sold)
    takes["credits"] = reversals.take
    sources["order"] = Source(read=payments.read, apply=payments.apply)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(top_ups_views.blueprint)
    app.register_blueprint(history_views.blueprint)
    calls.register(app, api.blueprint, orders_api.blueprint)

    @app.context_processor
    def _balance() -> dict[str, Any]:
        """Provide `credit_balance` for the header. It is queried only if the header is rendered."""
        return {"credit_balance": lambda: getattr(stripe_customers.find(current_user.user), "credit_balance", 0)}
