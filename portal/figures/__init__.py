"""Business figures: monthly recurring revenue, its movements, and the daily sums that the overview reads."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the scheduled task that books movements."""
    from portal import jobs
    from portal.figures import movements

    jobs.tasks |= {"mrr": movements.run}
