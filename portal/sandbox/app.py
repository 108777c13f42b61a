"""The sandbox as a Flask app."""

from flask import Flask, Response

from portal.sandbox import resources
from portal.sandbox.account import Account
from portal.sandbox.api.controls import Controls
from portal.sandbox.api.operations import api
from portal.sandbox.api.switches import switchboard
from portal.sandbox.config import Config, Endpoint
from portal.sandbox.pages import pages
from portal.sandbox.store import Store
from portal.sandbox.webhooks.deliveries import Deliverer
from portal.sandbox.webhooks.events import API_VERSION

__all__ = ["create_app", "resources"]


def create_app(config: Config) -> Flask:
    """Create the app with its store opened and its endpoints registered. The caller starts the deliverer."""
    app = Flask("portal.sandbox", static_folder=None)
    store, controls = Store(config.database), Controls()
    deliverer = Deliverer(store, config, controls)
    app.extensions.update(store=store, config=config, controls=controls, deliverer=deliverer)
    app.register_blueprint(api)
    app.register_blueprint(pages)
    app.register_blueprint(switchboard)
    app.add_url_rule("/healthz", view_func=lambda: Response("ok", mimetype="text/plain"), endpoint="healthz")
    for endpoint in config.endpoints:
        install(store, config, endpoint)
    return app


def install(store: Store, config: Config, endpoint: Endpoint) -> None:
    """Create or update the webhook endpoint from the configuration."""
    account = Account(store, config, endpoint.mode)
    with store.transaction():
        known = next(
            (e for e in store.select(endpoint.mode, "webhook_endpoint") if e["_"].get("configured")), None
        )
        fields = {"url": endpoint.url, "_": {"secret": endpoint.secret, "configured": True}}
        if known:
            account.change(known, fields)
            return
        more = {"enabled_events": ["*"], "status": "enabled", "metadata": {}, "api_version": API_VERSION}
        account.add("webhook_endpoint", fields | more)
