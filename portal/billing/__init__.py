"""Pricing, success page and key reveal, subscriptions, invoices."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages, what a purchase of a plan gives, and what time brings."""
    from portal import jobs
    from portal.billing import api, dunning, plans, reminders, success, views, voiding
    from portal.extensions import csrf
    from portal.purchases.gives import Give, gives

    jobs.chores |= {"dunning": dunning.run, "voiding": voiding.run, "reminders": reminders.run}
    gives["plan"] = Give(read=plans.read_bought, write=plans.give)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(success.blueprint)
    csrf.exempt(api.blueprint)  # it reads no cookie
    app.register_blueprint(api.blueprint)
