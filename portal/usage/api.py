"""Reporting usage and asking for it, for a product's servers (seed 5)."""

from typing import Annotated

from flask import Blueprint, g
from pydantic import Field

from portal import clock
from portal.answers import Answer, answers
from portal.callers import caller_required
from portal.extensions import db
from portal.inputs import takes
from portal.usage import batches, metering
from portal.usage.batches import Repeated, Report

blueprint = Blueprint("usage_api", __name__, url_prefix="/api/v1/usage")


class Late(Answer):
    """Events of a month that is closed."""

    events: int
    billed_with: Annotated[str, Field(description="The month on whose bill they go.", examples=["2026-12"])]


class Taken(Answer):
    """What was recorded."""

    accepted: int
    duplicates: Annotated[int, Field(description="Events whose identifier was recorded before.")]
    late: Annotated[Late | None, Field(exclude_if=lambda late: late is None)] = None


@blueprint.post("")
@caller_required("usage", limit="600/minute")  # of a thousand events each
@takes(Report)
@answers(Taken, Repeated)
def report(body: Report) -> Taken:
    """Take 1 to 1000 events, or none of them. Each identifier counts once for ever."""
    batch = batches.read(body.events, clock.now())
    recorded = metering.record(g.caller.customer_id, batch)
    db.session.commit()
    late = Late(events=batch.late, billed_with=str(batch.billed_with)) if batch.late else None
    return Taken(accepted=recorded.accepted, duplicates=recorded.duplicates, late=late)
