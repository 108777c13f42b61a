"""Calls to Stripe with an unknown outcome: an admin checks at Stripe and says whether it happened."""

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from portal.admin.permissions import require_reason, sensitive
from portal.errors import InvalidInput
from portal.sync import open_calls

blueprint = Blueprint("admin_open_calls", __name__)

LONGEST = 255


@blueprint.post("/open-calls/<int:call_id>/happened")
@sensitive
def happened(call_id: int) -> ResponseReturnValue:
    """Continue with the object that the call created: the one with this id, or the one that Stripe lists."""
    require_reason()
    stripe_id = request.form.get("stripe_id", "").strip()
    if len(stripe_id) > LONGEST or (not stripe_id.replace("_", "").isalnum() and stripe_id):
        raise InvalidInput("That is no id of Stripe's.", errors={"stripe_id": "such as re_1Q2w3E4r"})
    open_calls.happened(call_id, stripe_id)
    flash("It happened: what it made was found at Stripe, and the order goes on.", "positive")
    return redirect(url_for("admin.index"), 303)


@blueprint.post("/open-calls/<int:call_id>/again")
@sensitive
def again(call_id: int) -> ResponseReturnValue:
    """Make a new attempt."""
    require_reason()
    open_calls.again(call_id)
    flash("It was asked of Stripe once more.", "positive")
    return redirect(url_for("admin.index"), 303)
