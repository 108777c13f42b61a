"""Whose usage is taken: an agreement ran at the event's own time, so that somebody pays for it."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from portal import mail
from portal.errors import PortalError
from portal.extensions import db
from portal.models import UsageAgreement, UsageEvent
from portal.usage.batches import Row

BEFORE = timedelta(hours=1)  # usage may begin before the agreement is written down


class NoAgreement(PortalError):
    """Usage of a time at which no pay-as-you-go agreement ran: nobody would pay for it."""

    status = 402
    code = "no_agreement"
    title = "Pay as you go is not on"

    def __init__(self, index: int | None = None) -> None:
        page = mail.external("usage.index")
        words = "No pay-as-you-go agreement ran at this time. Start one, and send what is used from then on."
        if index is not None:
            words = f"Event {index}: {words}"
        super().__init__(words, action=(page, "Start pay as you go"), start_url=page, index=index)


def uncovered(customer_id: int, rows: Sequence[Row]) -> set[str]:
    """The identifiers of new events at whose time no agreement ran, from an hour before it began until it ended.

    What was recorded before is answered as before, whatever has ended since.
    """
    query = select(UsageAgreement.created_at, UsageAgreement.ended_at).filter_by(customer_id=customer_id)
    spans = [(began - BEFORE, ended) for began, ended in db.session.execute(query)]
    outside = [
        row.identifier
        for row in rows
        if not any(
            began <= row.occurred_at and (ended is None or row.occurred_at <= ended) for began, ended in spans
        )
    ]
    if not outside:
        return set()
    recorded = select(UsageEvent.identifier).filter_by(customer_id=customer_id)
    known = db.session.execute(recorded.where(UsageEvent.identifier.in_(outside))).scalars()
    return set(outside) - set(known)
