"""`/metrics` in Prometheus's text format: the instruments of the processes, and numbers of the database."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the page, and the task that sums webhook deliveries."""
    from portal import jobs
    from portal.metrics import deliveries, views

    app.register_blueprint(views.blueprint)
    jobs.tasks |= {"webhook sums": deliveries.run}
