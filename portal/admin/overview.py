"""The admin's first page."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from portal.webhooks import vitals

blueprint = Blueprint("admin", __name__)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """How things stand."""
    return render_template("admin/overview.html", vitals=vitals.read())
