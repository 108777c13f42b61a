"""Portal: a self-hosted customer billing portal for Stripe.

`create_app` reads like a table of contents. Imports stay inside it, so that `python -m portal.sandbox` and
`python -m portal.instance` start without the whole house.
"""

from typing import TYPE_CHECKING

from portal.version import __version__

if TYPE_CHECKING:
    from flask import Flask

    from portal.settings import Settings

__all__ = ["__version__", "create_app"]


def create_app(settings: "Settings | None" = None) -> "Flask":
    """The portal as a WSGI application. Without settings they are read from the environment and `.env`.

    Raises BadSettings, naming each bad value, before anything else happens.
    """
    from portal import settings as settings_module

    settings = settings or settings_module.load()
    app = _bare(settings)
    _furnish(app, settings)
    _open_rooms(app, settings)
    return app


def _bare(settings: "Settings") -> "Flask":
    """The application, its log, and the proxies in front of it."""
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from portal import logs
    from portal.settings import flask_config

    logs.configure(settings.is_production)
    app = Flask(__name__, template_folder="../templates", static_folder="../static")
    app.config.from_mapping(flask_config(settings))
    app.extensions["settings"] = settings
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    logs.init_app(app)
    return app


def _furnish(app: "Flask", settings: "Settings") -> None:
    """What every room uses."""
    from portal import accounts, cors, errors, extensions, gateway, inputs, pages

    inputs.init_app(app)
    extensions.init_app(app, settings, before_csrf=accounts.init_before_csrf)
    pages.init_app(app, settings)
    errors.init_app(app)
    cors.init_app(app, settings)
    gateway.init_app(app, settings, before_call=extensions.refuse_open_transaction)


def _open_rooms(app: "Flask", settings: "Settings") -> None:
    """Pages, APIs and commands."""
    from portal import (
        accounts,
        admin,
        billing,
        cli,
        credits,
        health,
        keys,
        openapi,
        payments,
        purchases,
        usage,
        webhooks,
    )

    for room in (accounts, purchases, payments, billing, credits, keys, usage, webhooks):
        room.init_app(app)
    admin.init_app(app, settings)
    for service in (health, openapi, cli):
        service.init_app(app)
