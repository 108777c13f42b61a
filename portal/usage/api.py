"""Reporting usage and asking for it, for a product's servers (seed 5)."""

from flask import Blueprint, g
from flask.typing import ResponseReturnValue

from portal import callers, clock
from portal.callers import api_key_required
from portal.extensions import db, limiter
from portal.inputs import takes
from portal.usage import batches, metering
from portal.usage.batches import Report

blueprint = Blueprint("usage_api", __name__, url_prefix="/api/v1/usage")

PER_KEY = "600/minute"  # of a thousand events each


@blueprint.post("")
@api_key_required
@limiter.limit(PER_KEY, key_func=callers.key)
@takes(Report)
def report(body: Report) -> ResponseReturnValue:
    """Take 1 to 1000 events, or none of them; each identifier counts once for ever."""
    batch = batches.read(body.events, clock.now())
    recorded = metering.record(g.caller.customer_id, batch)
    db.session.commit()
    answer: dict[str, object] = {"accepted": recorded.accepted, "duplicates": recorded.duplicates}
    if batch.late:
        answer["late"] = {"events": batch.late, "billed_with": str(batch.billed_with)}
    return answer
