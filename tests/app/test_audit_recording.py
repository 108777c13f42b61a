"""The audit log: written once per key, and never changed."""

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from portal import audit, jobs
from portal.extensions import db
from portal.models import AuditEntry

pytestmark = pytest.mark.both_databases


def entries() -> list[AuditEntry]:
    return list(db.session.execute(select(AuditEntry).order_by(AuditEntry.id)).scalars())


def test_what_a_key_names_is_written_once(app: Flask) -> None:
    for _ in range(2):
        audit.record("subscription.changed", subject="sub_1", after={"tier": "pro"}, key="sub_1:2026-11")
        audit.record("key.made", subject="7")
    db.session.commit()
    assert [one.action for one in entries()] == ["subscription.changed", "key.made", "key.made"]


@pytest.mark.parametrize("change", ["UPDATE audit_entries SET action = 'x'", "DELETE FROM audit_entries"])
def test_an_entry_stays_as_it_was_written(app: Flask, change: str) -> None:
    audit.record("key.made", subject="7")
    db.session.commit()
    with pytest.raises(DatabaseError, match="append-only"):
        db.session.execute(text(change))
    db.session.rollback()
    assert [one.subject for one in entries()] == ["7"]


def test_it_says_whose_doing_it_was(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def task() -> int:
        audit.record("grant.expired")
        with audit.acting_as("stripe"):
            audit.record("invoice.paid")
        db.session.commit()
        return 1

    monkeypatch.setattr(jobs, "tasks", {"task": task})
    jobs.tick()
    with app.test_request_context(
        environ_base={"REMOTE_ADDR": "203.0.113.77"}, headers={"X-Request-Id": "abcdefgh"}
    ):
        app.preprocess_request()
        audit.record("sign_in.failed")
        db.session.commit()
    assert [one.actor for one in entries()] == ["clock", "stripe", "user"]
    assert (entries()[-1].network, entries()[-1].request_id) == ("203.0.113.0/24", "abcdefgh")


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("unknown", ""), (None, "")],
)
def test_an_address_is_kept_as_its_network(address: str | None, network: str) -> None:
    assert audit.network(address) == network
