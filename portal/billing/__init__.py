"""Pricing, success page and key reveal, subscriptions, invoices."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages, and what a purchase of a plan gives."""
    from portal.billing import subscriptions, success, views
    from portal.purchases.gives import Give, gives

    gives["plan"] = Give(read=subscriptions.read_bought, write=subscriptions.give)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(success.blueprint)
