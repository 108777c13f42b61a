"""Mails that are not sent, as jobs: `flask jobs` and the admin page list and retry them."""

from sqlalchemy import select, update

from portal import jobs, mail
from portal.errors import NotFound
from portal.extensions import db, rows_changed
from portal.models import OutboxMail


def waiting(limit: int) -> list[jobs.Job]:
    """Return the mails that are not sent, oldest first; `failed` are not tried again. Ends the transaction."""
    query = select(OutboxMail).where(OutboxMail.sent_at.is_(None)).order_by(OutboxMail.id)
    found = db.session.execute(query.limit(limit)).scalars().all()
    db.session.commit()
    return [
        jobs.Job(
            mail.KIND,
            one.id,
            one.template.replace("_", " "),
            "waiting" if one.attempts < mail.MAX_ATTEMPTS else "failed",
            one.attempts,
            one.created_at,
            one.next_try_at,
        )
        for one in found
    ]


def make_due(mail_id: int) -> None:
    """Have a mail tried now. Flushes. Raises NotFound."""
    due = update(OutboxMail).where(OutboxMail.id == mail_id, OutboxMail.sent_at.is_(None))
    if not rows_changed(due.values(attempts=0, next_try_at=None)):
        raise NotFound("No mail with this number waits.")
