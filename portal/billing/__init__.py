"""Pricing, success page and key reveal, subscriptions, invoices."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages, what an order of a plan grants and reverses, and scheduled tasks."""
    from portal import jobs
    from portal.api import calls
    from portal.billing import api, console_api, disputes, invoices, plan_checkout, success_views, views
    from portal.billing.lifecycle import dunning, invoice_voids, reminders, stale_copies, trial_ends
    from portal.billing.plan_change import change_requests, slow_payments
    from portal.billing.plan_change import views as plan_change_views
    from portal.billing.price_changes import updates
    from portal.billing.pricing import api as pricing_api
    from portal.billing.status import second_plan
    from portal.catalogue import items
    from portal.orders.kinds import Give, gives
    from portal.payments.reversal_effects import Source, sources, takes

    jobs.tasks |= {
        "trials": trial_ends.run,
        "dunning": dunning.run,
        "voiding": invoice_voids.run,
        "plan changes": change_requests.run,
        "slow payments": slow_payments.run,
        "price changes": updates.run,
        "reminders": reminders.run,
        "second plans": second_plan.run,
        "stale copies": stale_copies.run,
    }
    gives["plan"] = Give(read=plan_checkout.read_bought, write=plan_checkout.give, sold=items.sold)
    takes |= {
        "plan": disputes.take_plan,
        "subscription": disputes.take_subscription,
        "invoice": disputes.take_invoice,
    }
    sources["invoice"] = Source(read=invoices.read_alone, apply=invoices.apply)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(plan_change_views.blueprint)
    app.register_blueprint(success_views.blueprint)
    calls.register(app, api.blueprint, console_api.blueprint, pricing_api.blueprint)
