"""What sent mails said is removed after a time; their keys stay."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, jobs, mail
from portal.accounts import mail_contents
from portal.extensions import db
from portal.models import OutboxMail

pytestmark = pytest.mark.both_databases


def queued(key: str, sent_days_ago: float | None) -> None:
    now = clock.now()
    sent = None if sent_days_ago is None else now - timedelta(days=sent_days_ago)
    facts = {"template": "receipt", "to": None, "context": {"name": "Alice"}, "created_at": now}
    db.session.add(OutboxMail(key=key, sent_at=sent, attempts=mail.MAX_ATTEMPTS, **facts))


def kept() -> set[str]:
    rows = db.session.execute(select(OutboxMail)).scalars()
    return {row.key for row in rows if row.context}


def test_only_what_was_sent_long_ago_is_emptied_and_its_key_stays(app: Flask) -> None:
    for key, days in (("old", 90.1), ("young", 89.9), ("unsent", None)):
        queued(key, days)
    db.session.commit()
    assert jobs.tasks["mail contents"]() == 1
    assert kept() == {"young", "unsent"}
    assert mail.unsaid(["old", "new"]) == ["new"]
    assert jobs.tasks["mail contents"]() == 0


def test_a_run_is_bounded_and_takes_the_oldest_first(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_contents, "AT_ONCE", 2)
    monkeypatch.setattr(mail_contents, "IN_A_RUN", 4)
    for number in range(5):
        queued(str(number), 100 + number)
    db.session.commit()
    assert mail_contents.remove_old() == 4
    assert kept() == {"0"}
    assert mail_contents.remove_old() == 1
