"""Metered usage: recording, limits, and the monthly run."""

from typing import Any

from flask import Flask


def init_app(app: Flask) -> None:
    """Register pages, API and scheduled tasks, and what an order of pay as you go grants."""
    from flask_login import current_user

    from portal import jobs
    from portal.api import calls
    from portal.customers import stripe_customers, suspensions
    from portal.models import MonthlyBill, UsageAgreement, UsageCorrection
    from portal.orders.kinds import Give, gives
    from portal.payments.reversal_effects import takes
    from portal.sync import open_calls
    from portal.usage import agreements, api, disputes, limits, views
    from portal.usage.included import warnings
    from portal.usage.monthly_run import bill_invoices, bill_states, corrections, runs

    open_calls.register(MonthlyBill, bill_invoices.KIND)
    open_calls.register(UsageAgreement, agreements.KIND)
    open_calls.register(UsageCorrection, corrections.KIND)
    gives["usage"] = Give(read=agreements.read_consent, act=agreements.act, write=agreements.give)
    takes["usage"] = disputes.take
    jobs.tasks |= {
        "spend limits": limits.run,
        "included units": warnings.run,
        "overdue usage": bill_states.sweep,
        "usage corrections": corrections.run,
        "bills": runs.hand_over_left,
    }
    jobs.kinds[runs.KIND] = jobs.Kind(runs.invoice, runs.waiting, runs.make_due)
    app.register_blueprint(views.blueprint)
    calls.register(app, api.blueprint)

    @app.context_processor
    def _suspension() -> dict[str, Any]:
        """Provide `suspended_for()` for the banner of every page. It is queried only if the header is rendered."""
        return {"suspended_for": lambda: suspensions.reasons(stripe_customers.find(current_user.user))}
