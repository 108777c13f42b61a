"""Finds events without an active agreement at their own time, for which nobody would pay."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import select

from portal import mail
from portal.errors import PortalError
from portal.extensions import db
from portal.models import UsageAgreement, UsageEvent
from portal.usage.events.reports import Row

BEFORE = timedelta(hours=1)  # usage may begin before the agreement is written


class NoAgreement(PortalError):
    """Usage at a time without a pay-as-you-go agreement, which nobody would pay for."""

    status = 402
    code = "no_agreement"
    title = "Pay as you go is not on"

    def __init__(self, words: str = "", **facts: Any) -> None:
        page = mail.external("usage.index")
        words = (
            words or "No pay-as-you-go agreement ran at this time. Start one, and send what is used from then on."
        )
        super().__init__(words, action=(page, "Start pay as you go"), start_url=page, **facts)

    def at(self, index: int) -> Self:
        """Name the first event of a report that was refused."""
        self.detail = f"Event {index}: {self.detail}"
        self.extra["index"] = index
        return self


def uncovered(customer_id: int, rows: Sequence[Row]) -> set[str]:
    """Return the identifiers of new events outside every agreement, which covers one hour before its start until
    its end.

    Events that were recorded before get the same response as before, even if the agreement has ended since.
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
