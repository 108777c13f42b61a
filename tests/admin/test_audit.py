"""The audit log: search, CSV export, and seals that reveal changed and missing entries."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Insert, Row, insert, null, select, text
from sqlalchemy.exc import DBAPIError

from portal import audit, clock
from portal.admin import filters
from portal.admin.audit import seals
from portal.extensions import db
from portal.models import AuditEntry, Payment
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.credits import buy
from tests.support.world import World, changes_allowed, eventually

pytestmark = pytest.mark.both_databases

NOW = timedelta(0)


def write(count: int) -> None:
    for number in range(count):
        audit.record("key.made", subject=str(number), after={"scopes": ["read"], "number": number})
    db.session.commit()


def entry(subject: str) -> Insert:
    facts = {"at": clock.now(), "action": "key.made", "actor": "command", "before": {}, "after": {}}
    return insert(AuditEntry).values(subject=subject, network="", request_id="", **facts)


def tamper(statement: str, table: str = "audit_entries") -> None:
    with changes_allowed(table):
        db.session.execute(text(statement))
    db.session.commit()


def test_seals_follow_each_other_and_hold_while_nothing_changes(app: Flask) -> None:
    assert seals.seal(settled=NOW) is None
    for entries in (3, 2):
        write(entries)
        made = seals.seal(settled=NOW)
        assert made is not None
        assert made.entries == entries
    assert list(seals.verify()) == []
    write(1)
    assert seals.seal() is None  # too young
    assert seals.seal(now=clock.now() + timedelta(minutes=3)) is not None


def test_many_entries_are_sealed_in_several_seals(
    here: World, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "MOST", 3)
    monkeypatch.setattr(seals.seal, "__defaults__", (None, NOW))
    write(8)
    assert [seals.run() for _ in range(5)] == [3, 3, 2, 0, 0]
    assert list(seals.verify()) == []
    write(7)
    output = here.app.test_cli_runner().invoke(args=["audit", "seal"]).output
    assert [line.split()[1] for line in output.splitlines() if line.startswith("Sealed")] == ["3", "3", "1"]
    assert list(seals.verify()) == []


FORGERIES: dict[str, Callable[[], None]] = {
    "changed": lambda: tamper("UPDATE audit_entries SET subject = 'x' WHERE subject = '1'"),
    "missing": lambda: tamper("DELETE FROM audit_entries WHERE subject = '1'"),
    "a seal gone": lambda: tamper("DELETE FROM audit_seals WHERE first_id = 1", "audit_seals"),
    "one between others": lambda: tamper("UPDATE audit_entries SET id = id + 100 WHERE subject = '2'"),
    "who did it": lambda: tamper("UPDATE audit_entries SET actor = 'stripe' WHERE subject = '0'"),
    "when": lambda: tamper("UPDATE audit_entries SET at = '2020-01-01 00:00:00+00' WHERE subject = '0'"),
    "facts": lambda: tamper("UPDATE audit_entries SET after = '{}' WHERE subject = '0'"),
    "a seal changed": lambda: tamper(f"UPDATE audit_seals SET digest = '{'0' * 64}'", "audit_seals"),
}


TAMPERING = {
    "an update": "UPDATE {table} SET id = id",
    "a removal": "DELETE FROM {table}",
    "a removal of one": "DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})",
    "an insert that replaces": "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
    "an update that replaces": "UPDATE OR REPLACE {table} SET id = 1",
    "an upsert": "INSERT INTO {table} SELECT * FROM {table} WHERE true ON CONFLICT (id) DO UPDATE SET id = 1",
    "all at once": "TRUNCATE {table}",
    "all at once, with what hangs on it": "TRUNCATE {table} CASCADE",
}
OF_SQLITE = ("an insert that replaces", "an update that replaces")


@pytest.mark.parametrize("table", ["audit_entries", "audit_seals"])
@pytest.mark.parametrize("how", TAMPERING)
def test_the_database_refuses_to_change_what_was_written(here: World, app: Flask, how: str, table: str) -> None:
    """By any statement that the portal's database account could run."""
    on_sqlite = here.database == "sqlite"
    if (how in OF_SQLITE and not on_sqlite) or (how.startswith("all") and on_sqlite):
        return  # no statement of this database
    write(3)
    eventually(lambda: seals.seal(settled=NOW))  # PostgreSQL may still list a transaction that has just ended
    with pytest.raises(DBAPIError, match="is append-only"):
        db.session.execute(text(TAMPERING[how].format(table=table)))
    db.session.rollback()
    assert list(seals.verify()) == []
    assert len(db.session.execute(select(AuditEntry)).all()) == 3


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_what_is_changed_or_gone_is_found(here: World, app: Flask, forge: Callable[[], None]) -> None:
    write(3)
    eventually(lambda: seals.seal(settled=NOW))
    write(2)
    eventually(lambda: seals.seal(settled=NOW))
    forge()
    db.session.remove()
    result = here.app.test_cli_runner().invoke(args=["audit", "verify"])
    assert result.exit_code == 1, result.output


def test_nobody_waits_for_a_seal_or_for_its_proof(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    canonical = seals._canonical

    def write_beside(row: Row[Any]) -> bytes:
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE plans SET name = name"))
        return canonical(row)

    write(2)
    monkeypatch.setattr(seals, "_canonical", write_beside)
    assert eventually(lambda: seals.seal(settled=NOW))
    assert list(seals.verify()) == []


def test_an_entry_that_is_committed_late_is_sealed_with_those_after_it(here: World, app: Flask) -> None:
    if here.database != "sqlite":  # where nobody can be late: the lock is held until the commit
        with db.engine.connect() as slow:
            slow.execute(entry(subject="early id, late commit"))
            write(1)
            assert seals.seal(settled=NOW) is None
            slow.commit()
    write(1)
    assert eventually(lambda: seals.seal(settled=NOW))
    assert list(seals.verify()) == []


def test_a_column_that_is_added_later_changes_no_seal(app: Flask) -> None:
    write(1)
    row = db.session.execute(select(AuditEntry.__table__)).one()
    wider = db.session.execute(select(AuditEntry.__table__, null().label("since_then"))).one()
    assert seals._canonical(wider) == seals._canonical(row)


def test_the_commands_and_the_task_seal_an_hour_at_a_time(here: World, app: Flask) -> None:
    run = here.app.test_cli_runner().invoke
    assert "Nothing to seal" in run(args=["audit", "seal"]).output
    write(3)
    seals.seal(settled=NOW)
    assert seals.run() == 0
    assert "as it was written" in run(args=["audit", "verify"]).output


def test_the_page_is_narrowed_by_everything_that_an_entry_has(here: World, admin: Browser, bob: Person) -> None:
    bob.browser.open("/keys")
    bob.browser.press("Create key", name="Website")
    here.app.test_cli_runner().invoke(args=["events", "list"])
    wanted = {
        "": True,
        "action=key": True,
        "action=key.never": False,
        "actor=stripe": False,
        f"by={bob.email}&action=key": True,
        "by=nobody@example.com": False,
        f"about={bob.email}&action=key": True,
        "about=ada@example.com&action=key": False,
        f"since={clock.now() + timedelta(days=2):%Y-%m-%d}": False,
        f"since={clock.now() - timedelta(days=1):%Y-%m-%d}&action=key": True,
        f"until={clock.now() - timedelta(days=2):%Y-%m-%d}": False,
    }
    for query, expected in wanted.items():
        admin.open(f"/admin/audit?{query}")
        assert ("Key made" in admin.text) == expected, query
    assert admin.open("/admin/audit?since=x").status_code == 400
    lines = list(csv.DictReader(io.StringIO(admin.open("/admin/audit.csv?action=key").text)))
    assert {line["action"] for line in lines} == {"key.made"}
    assert all(line["at"].endswith("Z") for line in lines)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (False, "no"),
        (-5500, "−5,500"),
        (["read", "spend"], "read, spend"),
        ([], "none"),
        ("2026-12-24T21:08:00Z", "24 December 2026, 21:08 UTC"),
        ("bob@example.com", "b…@example.com"),
    ],
)
def test_a_fact_is_said_in_words(app: Flask, value: object, words: str) -> None:
    with app.test_request_context():
        assert filters.fact(value) == words


def test_every_change_of_money_is_written_once(here: World, bob: Person) -> None:
    bought = buy(here, bob)
    here.flush()
    with here.app.app_context():
        billed = db.session.execute(select(Payment).filter_by(kind="subscription")).scalar_one()
    for intent in (bought, billed.stripe_id):
        here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 4500})
    here.flush()
    here.flush()
    with here.app.app_context():
        query = select(AuditEntry).order_by(AuditEntry.id)
        written = list(db.session.execute(query).scalars())
    credits = [(entry.action, entry.after["credits"]) for entry in written if "credits" in entry.after]
    assert credits == [("credits.bought", 5500), ("credits.taken_back", -5500)]
    refunds = [entry.after["of"] for entry in written if entry.action == "refund.succeeded"]
    assert sorted(refunds) == sorted([bought, billed.invoice_id])
    invoices = [entry.subject for entry in written if entry.action == "invoice.paid"]
    assert invoices.count(billed.invoice_id) == 1
