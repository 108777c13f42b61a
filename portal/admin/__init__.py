"""The admin pages, under ADMIN_PATH: test billing, time travel, events, customers and the audit log."""

from flask import Flask

from portal.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Register the pages under the configured path. To anyone but staff, they don't exist."""
    from portal import jobs
    from portal.admin import customer_views, event_views, filters, open_calls, overview, permissions, refund_views
    from portal.admin.audit import seals, views
    from portal.admin.figures import views as figures_views
    from portal.admin.jobs import views as jobs_views
    from portal.admin.test_billing import api, credit_orders, plan_orders, usage_orders
    from portal.admin.test_billing import views as test_billing_views
    from portal.api import calls
    from portal.extensions import csrf
    from portal.orders import off_session

    permissions.init_app(app, settings.admin_path)
    filters.init_app(app)
    for room in (
        overview,
        figures_views,
        open_calls,
        customer_views,
        refund_views,
        test_billing_views,
        event_views,
        jobs_views,
        views,
    ):
        csrf.exempt(room.blueprint)  # the guard checks the token, after it has checked who asks
        app.register_blueprint(room.blueprint, url_prefix=settings.admin_path)
    calls.register(app, api.blueprint)
    for kind, room in (("plan", plan_orders), ("credits", credit_orders), ("usage", usage_orders)):
        off_session.pays[kind] = off_session.Pay(room.pay)
    jobs.tasks |= {"audit seals": seals.run}
