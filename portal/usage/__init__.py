"""Metered usage: recording, limits, and the run of the 1st."""

from typing import Any

from flask import Flask


def init_app(app: Flask) -> None:
    """Register pages, API and chores, and what a purchase of pay as you go gives."""
    from flask_login import current_user

    from portal import calls, jobs
    from portal.customers import suspensions
    from portal.models import MonthlyBill, UsageAgreement
    from portal.payments.takes import takes
    from portal.purchases import customers, off_session, open_calls
    from portal.purchases.gives import Give, gives
    from portal.usage import agreements, api, bills, disputes, invoicing, limits, views
    from portal.usage import off_session as test_purchases

    open_calls.register(MonthlyBill, invoicing.KIND)
    open_calls.register(UsageAgreement, agreements.KIND)
    off_session.pays["usage"] = off_session.Pay(test_purchases.pay)
    gives["usage"] = Give(read=agreements.read_consent, act=agreements.act, write=agreements.give)
    takes["usage"] = disputes.take
    jobs.chores |= {"spend limits": limits.run, "overdue usage": bills.sweep}
    app.register_blueprint(views.blueprint)
    calls.register(app, api.blueprint)

    @app.context_processor
    def _suspension() -> dict[str, Any]:
        """`suspended_for()` for the banner of every page; asked only where the header is drawn."""
        return {"suspended_for": lambda: suspensions.reasons(customers.find(current_user.user))}
