"""Sessions are deleted when their time is over."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, jobs
from portal.extensions import db
from portal.models import UserSession
from tests.conftest import Person

pytestmark = pytest.mark.both_databases


def test_what_has_expired_is_deleted_and_nobody_else_is_signed_out(app: Flask, charlie: Person) -> None:
    charlie.browser.open("/account")
    db.session.commit()
    (mine,) = db.session.execute(select(UserSession)).scalars().all()
    now = clock.now()
    facts = {"user_id": mine.user_id, "created_at": now, "last_seen_at": now, "confirmed_at": now}
    for name, after in (("over", timedelta(seconds=-1)), ("ended", timedelta(days=1))):
        db.session.add(UserSession(**facts, token_hash=name, expires_at=now + after, ended_at=now))
    db.session.commit()
    assert jobs.tasks["sessions"]() == 1
    assert set(db.session.execute(select(UserSession.token_hash)).scalars()) == {mine.token_hash, "ended"}
    assert charlie.browser.open("/account").status_code == 200
