"""Alerts to operators without Prometheus: ALERTS_TO."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the scheduled task that looks for what is wrong."""
    from portal import jobs
    from portal.alerts import watch

    jobs.tasks |= {"alerts": watch.run}
