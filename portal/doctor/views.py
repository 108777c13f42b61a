"""The admin page that runs the checks of `flask doctor`."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from portal.doctor import checks
from portal.doctor.check import OK
from portal.extensions import limiter

blueprint = Blueprint("admin_checks", __name__)


@blueprint.get("/checks")
def index() -> str:
    """Say what the checks look at, with a button that runs them."""
    return render_template("admin/checks.html", names=checks.names(), results=None)


@blueprint.post("/checks")
@limiter.limit("6/minute")
def run() -> ResponseReturnValue:
    """Run every check, which asks Stripe, and show each problem with its remedy. Nothing is changed."""
    results = checks.run()
    wrong = [one for one in results if one.verdict != OK]
    return render_template("admin/checks.html", names=checks.names(), results=results, wrong=wrong)
