"""The admin page of rows that wait to be handled, or failed."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import jobs

blueprint = Blueprint("admin_jobs", __name__)

SHOWN = 50  # of each kind


@blueprint.get("/jobs")
def index() -> str:
    """List the oldest rows of each kind, and where they are handled."""
    return render_template("admin/jobs.html", jobs=jobs.waiting(SHOWN), by_workers=jobs.are_elsewhere())


@blueprint.post("/jobs/<kind>/<int:row_id>/retry")
def retry(kind: str, row_id: int) -> ResponseReturnValue:
    """Handle one row now. Support may, too: it continues what was decided before."""
    jobs.retry(kind, row_id)
    flash("A worker was told." if jobs.are_elsewhere() else "It was tried again.", "positive")
    return redirect(url_for("admin_jobs.index"), 303)
