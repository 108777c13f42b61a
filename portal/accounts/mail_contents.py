"""Removing what sent mails said, after a time."""

from datetime import timedelta

from sqlalchemy import select, update

from portal import clock
from portal.extensions import db, rows_changed
from portal.models import OutboxMail
from portal.models.mail import WITH_FACTS
from portal.settings import current_settings

AT_ONCE = 500  # mails in one transaction
IN_A_RUN = 10_000


def remove_old() -> int:
    """Scheduled task: empty the facts of mails that were sent long ago, oldest first, and return how many.

    Their keys stay, so that nothing is mailed twice, and mails that could not be sent keep their facts. Commits
    after each batch; what is left after IN_A_RUN follows at the next run.
    """
    before = clock.now() - timedelta(days=current_settings().event_retention_days)
    due = select(OutboxMail.id).where(WITH_FACTS, OutboxMail.sent_at < before)
    oldest = due.order_by(OutboxMail.sent_at).limit(AT_ONCE)
    removed = 0
    while removed < IN_A_RUN and (found := db.session.execute(oldest).scalars().all()):
        removed += rows_changed(update(OutboxMail).where(OutboxMail.id.in_(found)).values(context={}))
        db.session.commit()
    db.session.commit()
    return removed
