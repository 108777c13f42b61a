"""The sandbox as a Flask app."""

import logging

from flask import Flask, Response, jsonify, request

from portal.sandbox import resources
from portal.sandbox.account import Account
from portal.sandbox.api import api
from portal.sandbox.config import Config, Endpoint
from portal.sandbox.controls import Controls, Deliveries, Failures, settings
from portal.sandbox.deliver import Deliverer
from portal.sandbox.events import API_VERSION
from portal.sandbox.pages import pages
from portal.sandbox.store import Store

__all__ = ["create_app", "resources"]


def create_app(config: Config) -> Flask:
    """The app with its store opened and its endpoints in place; the deliverer is yours to start."""
    app = Flask("portal.sandbox", static_folder=None)
    store, controls = Store(config.database), Controls()
    deliverer = Deliverer(store, config, controls)
    app.extensions.update(store=store, config=config, controls=controls, deliverer=deliverer)
    app.register_blueprint(api)
    app.register_blueprint(pages)
    app.add_url_rule("/healthz", view_func=lambda: Response("ok", mimetype="text/plain"), endpoint="healthz")
    add_controls(app, controls, deliverer)
    for endpoint in config.endpoints:
        install(store, config, endpoint)
    return app


def install(store: Store, config: Config, endpoint: Endpoint) -> None:
    """The webhook endpoint that the configuration asks for, made or brought up to date."""
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


def add_controls(app: Flask, controls: Controls, deliverer: Deliverer) -> None:
    """The sandbox's own switches, apart from Stripe's paths."""

    @app.get("/_config")
    def show() -> Response:
        return jsonify(controls.state())

    @app.post("/_config/deliveries")
    def deliveries() -> Response | tuple[Response, int]:
        return put("deliveries")

    @app.post("/_config/deliveries/flush")
    def flush() -> Response:
        deliverer.flush()
        return jsonify(controls.state())

    @app.post("/_config/deliveries/discard")
    def discard() -> Response:
        deliverer.discard()
        return jsonify(controls.state())

    @app.post("/_config/failures")
    def failures() -> Response | tuple[Response, int]:
        return put("failures")

    @app.post("/_config/reset")
    def reset() -> Response:
        controls.deliveries, controls.failures = Deliveries(), Failures()
        return jsonify(controls.state())

    def put(name: str) -> Response | tuple[Response, int]:
        given = request.get_json()
        try:
            if name == "deliveries":
                controls.deliveries = settings(Deliveries, given)
            else:
                controls.failures = settings(Failures, given)
        except (ValueError, TypeError) as problem:
            return jsonify(error=str(problem)), 400
        return jsonify(controls.state())


def quiet() -> None:
    """Keep werkzeug from printing every request."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
