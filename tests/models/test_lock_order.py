"""The lock order: it names every table, and the tests' hook sees where a transaction breaks it."""

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from portal.accounts.personal_data import deletion
from portal.extensions import db, rows_changed, write_aside
from portal.models import Base, Customer, StripeEvent, User
from portal.models.locks import ADDED_TO, CUSTOMER_OWNS, LOCK_ORDER, USER_OWNS
from tests.conftest import Person
from tests.support.lock_order import Lock, LockOrderBroken, locked_by, objection
from tests.support.world import World


def test_every_table_has_one_place() -> None:
    assert sorted(LOCK_ORDER) == sorted(Base.metadata.tables)
    assert set(LOCK_ORDER) >= CUSTOMER_OWNS | USER_OWNS | ADDED_TO


def as_lock(words: str) -> Lock:
    """`customers`, `added outbox_mails`, or `skipped stripe_events`."""
    kind, _, table = words.rpartition(" ")
    return Lock(table, kind or "changed")


@pytest.mark.parametrize(
    ("held", "table"),
    [
        ((), "orders"),
        (("stripe_events", "sync_tickets", "customers"), "invoices"),
        (("customers", "monthly_bills"), "invoices"),  # under their customer the order is free
        (("usage_settings",), "usage_events"),
        (("customers", "added outbox_mails"), "subscriptions"),
        (("users", "mail_tokens"), "user_sessions"),
        (("users", "mail_tokens", "email_changes"), "recovery_codes"),
        (("api_keys",), "added outbox_mails"),
        (("customers",), "skipped stripe_events"),  # it waits for nobody
        (("customers", "skipped stripe_events"), "orders"),
    ],
)
def test_what_keeps_the_order(held: tuple[str, ...], table: str) -> None:
    assert objection([as_lock(one) for one in held], as_lock(table)) is None


@pytest.mark.parametrize(
    ("held", "table"),
    [
        (("monthly_bills",), "customers"),  # a bill that is paid, beside a card of a suspended customer
        (("subscriptions",), "customers"),
        (("payments",), "reversals"),
        (("customers",), "sync_tickets"),
        (("customers",), "users"),
        (("added outbox_mails",), "customers"),
        (("outbox_mails",), "mail_tokens"),
        (("mail_tokens",), "users"),
        (("mail_tokens",), "user_sessions"),
        (("usage_days",), "usage_settings"),
        (("customers", "usage_days"), "orders"),
        (("skipped usage_settings",), "orders"),  # somebody may wait for what is held
    ],
)
def test_what_breaks_the_order(held: tuple[str, ...], table: str) -> None:
    assert objection([as_lock(one) for one in held], as_lock(table)) is not None


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("UPDATE customers SET a = 1", [("customers", "changed")]),
        ("SELECT a FROM customers FOR NO KEY UPDATE OF customers", [("customers", "changed")]),
        (
            "SELECT a FROM orders JOIN users ON true FOR UPDATE",
            [("orders", "kept"), ("users", "kept")],
        ),
        ("SELECT a FROM users FOR UPDATE OF users SKIP LOCKED", [("users", "skipped")]),
        ("SELECT a FROM users FOR UPDATE SKIP LOCKED", [("users", "skipped")]),
        ("INSERT INTO invoices (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", [("invoices", "changed")]),
        ("INSERT INTO invoices (a) VALUES (1) ON CONFLICT DO NOTHING", [("invoices", "added")]),
        ("INSERT INTO invoices (a) VALUES (1)", []),
        ("WITH moved AS (UPDATE customers SET a = 1) SELECT 1", [("customers", "changed")]),
        ("SELECT a FROM customers", []),
    ],
)
def test_what_a_statement_locks(statement: str, tables: list[tuple[str, str]]) -> None:
    assert [(lock.table, lock.kind) for lock in locked_by(statement)] == tables


@pytest.mark.both_databases
def test_the_hook_sees_a_transaction_that_goes_back(app: Flask, here: World) -> None:
    rows_changed(update(Customer).values(cluster="eu-1"))
    rows_changed(update(StripeEvent).values(error="none"))
    db.session.commit()
    write_aside(select(User).with_for_update())
    write_aside(update(User).values(name="b"))  # another transaction
    db.session.execute(text("UPDATE orders SET nonce = 'a'"))  # a test's own
    rows_changed(update(Customer).values(cluster="eu-1"))
    db.session.commit()
    with pytest.raises(LockOrderBroken) as broken:
        here.locks.check()
    words = str(broken.value)
    assert "stripe_events after customers" in words
    assert "users FOR UPDATE" in words
    assert len(words.splitlines()) == 2


@pytest.mark.both_databases
def test_the_hook_sees_what_a_refresh_locks(app: Flask, here: World, alice: Person) -> None:
    rows_changed(update(Customer).values(cluster="eu-1"))
    deletion.delete_account(alice.user)
    db.session.rollback()
    with pytest.raises(LockOrderBroken, match="users after customers"):
        here.locks.check()
