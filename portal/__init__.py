"""Portal: a self-hosted customer billing portal for Stripe.

Imports stay inside `create_app`, so that `python -m portal.sandbox` and `python -m portal.settings.instance` start
without loading the application.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from portal.settings import Settings
    from portal.settings.version import __version__

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> str:
    """Return the version when it is asked for: its package loads libraries that the sandbox does without."""
    if name != "__version__":
        raise AttributeError(name)
    from portal.settings import version

    return version.__version__


def create_app(settings: "Settings | None" = None) -> "Flask":
    """Create the portal as a WSGI application. Without settings, they are read from the environment and `.env`.

    Raises BadSettings, naming each invalid value, before anything else happens.
    """
    from portal import settings as settings_module

    settings = settings or settings_module.load()
    app = _bare(settings)
    _furnish(app, settings)
    _open_rooms(app, settings)
    return app


def _bare(settings: "Settings") -> "Flask":
    """Create the application with its logging and proxy settings."""
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from portal import logs
    from portal.instruments import requests
    from portal.logs import sentry
    from portal.settings import flask_config

    sentry.init(settings)
    logs.configure(settings.is_production, report=sentry.report)
    app = Flask(__name__, template_folder="../templates", static_folder="../static")
    app.config.from_mapping(flask_config(settings))
    app.extensions["settings"] = settings
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    logs.init_app(app)
    requests.init_app(app)
    return app


def _furnish(app: "Flask", settings: "Settings") -> None:
    """Set up what every room uses."""
    from portal import accounts, extensions, gateway
    from portal.api import bodies
    from portal.errors import responses
    from portal.web import cors, pages

    bodies.init_app(app)
    extensions.init_app(app, settings, before_csrf=accounts.init_before_csrf)
    pages.init_app(app, settings)
    responses.init_app(app)
    cors.init_app(app, settings)
    gateway.init_app(app, settings, before_call=before_call)


def before_call() -> None:
    """Run before each call to Stripe."""
    from portal import extensions
    from portal.sync import call_budget

    extensions.refuse_open_transaction()
    call_budget.count()


def _open_rooms(app: "Flask", settings: "Settings") -> None:
    """Register pages, APIs and commands."""
    from portal import (
        accounts,
        admin,
        alerts,
        billing,
        cli,
        credits,
        customers,
        doctor,
        figures,
        keys,
        metrics,
        orders,
        payments,
        usage,
        webhooks,
    )
    from portal.api import health, openapi

    for room in (customers, accounts, orders, payments, billing, credits, keys, usage, figures, webhooks):
        room.init_app(app)
    for staff in (admin, doctor):
        staff.init_app(app, settings)
    for service in (health, openapi, metrics, alerts, cli):
        service.init_app(app)
    if settings.jobs == "celery":
        from portal import workers

        workers.init_app(app, settings)
