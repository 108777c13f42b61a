"""The sandbox as a Flask app."""

from flask import Flask, Response

from portal.sandbox import resources
from portal.sandbox.api.operations import api
from portal.sandbox.api.origins import guard
from portal.sandbox.config import Config
from portal.sandbox.dashboard.views import dashboard
from portal.sandbox.pages import pages
from portal.sandbox.switches.views import switchboard
from portal.sandbox.tenants import Tenants
from portal.sandbox.webhooks.courier import Courier

__all__ = ["create_app", "resources"]


def create_app(config: Config) -> Flask:
    """Create the app with its accounts opened. The caller starts the courier."""
    app = Flask("portal.sandbox", static_folder=None)
    tenants = Tenants(config)
    app.extensions.update(tenants=tenants, config=config, courier=Courier(tenants))
    app.before_request(guard)
    app.register_blueprint(api)
    app.register_blueprint(pages)
    app.register_blueprint(dashboard)
    app.register_blueprint(switchboard)
    app.add_url_rule("/healthz", view_func=lambda: Response("ok", mimetype="text/plain"), endpoint="healthz")
    return app
