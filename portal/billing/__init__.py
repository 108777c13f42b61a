"""Pricing, success page and key reveal, subscriptions, invoices."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages, what a purchase of a plan gives and takes back, and what time brings."""
    from portal import calls, jobs
    from portal.billing import (
        api,
        changes,
        console_api,
        disputes,
        dunning,
        invoices,
        plan_views,
        plans,
        reminders,
        success,
        trial_ends,
        views,
        voiding,
    )
    from portal.billing import off_session as test_purchases
    from portal.payments.takes import Source, sources, takes
    from portal.purchases import off_session
    from portal.purchases.gives import Give, gives

    jobs.chores |= {
        "trials": trial_ends.run,
        "dunning": dunning.run,
        "voiding": voiding.run,
        "plan changes": changes.run,
        "reminders": reminders.run,
    }
    off_session.pays["plan"] = off_session.Pay(test_purchases.pay)
    gives["plan"] = Give(read=plans.read_bought, write=plans.give)
    takes |= {
        "plan": disputes.take_plan,
        "subscription": disputes.take_subscription,
        "invoice": disputes.take_invoice,
    }
    sources["invoice"] = Source(read=invoices.read_alone, apply=invoices.apply)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(plan_views.blueprint)
    app.register_blueprint(success.blueprint)
    calls.register(app, api.blueprint, console_api.blueprint)
