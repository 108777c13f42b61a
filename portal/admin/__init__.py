"""The admin room, under ADMIN_PATH: test billing, time travel, events, customers and the audit log."""

from flask import Flask

from portal.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Register the pages where the settings say; to anyone but admins and support there is nothing there."""
    from portal import calls, jobs
    from portal.admin import (
        api,
        audit_views,
        customer_views,
        event_views,
        filters,
        guard,
        open_calls,
        overview,
        sealing,
        testing_views,
    )
    from portal.extensions import csrf

    guard.init_app(app, settings.admin_path)
    filters.init_app(app)
    for room in (overview, open_calls, customer_views, testing_views, event_views, audit_views):
        csrf.exempt(room.blueprint)  # the guard checks the token, after it has checked who asks
        app.register_blueprint(room.blueprint, url_prefix=settings.admin_path)
    calls.register(app, api.blueprint)
    jobs.chores |= {"audit seals": sealing.run}
