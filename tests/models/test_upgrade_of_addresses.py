"""The upgrade of a database from before unclaimed users: who is what afterwards, and which links still work."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from portal import create_app, tokens
from portal import settings as settings_module
from portal.customers import owners
from portal.extensions import db
from portal.models import User
from portal.models.key import digest, new_secret
from portal.reconcile import past_errors
from tests.conftest import worker
from tests.support.world import environ, fresh_database

pytestmark = pytest.mark.both_databases

BEFORE = "0020"  # the newest migration of the version before (commit 58212df)
NOW = datetime.now(UTC).replace(microsecond=0)
SECRETS = {name: f"{name}-token-of-a-mail-that-was-sent" for name in ("claim", "verify", "reset")}
KEYS = {customer: new_secret("key_live_") for customer in (1, 2)}
ROWS = """
INSERT INTO users (id, email, name, password_hash, role, timezone, verified_at, created_at, deleted_at) VALUES
    (1, 'bought@example.com', '', NULL, 'customer', 'UTC', NULL, :at, NULL),
    (2, 'victim@example.com', 'Mallory', 'hash-of-a-password', 'customer', 'UTC', NULL, :at, NULL),
    (3, 'proven@example.com', 'Paula', 'hash-of-a-password', 'customer', 'UTC', :at, :at, NULL),
    (4, 'deleted-4@invalid', '', NULL, 'customer', 'UTC', NULL, :at, :at),
    (5, 'imported@example.com', '', NULL, 'customer', 'UTC', NULL, :at, NULL);
INSERT INTO customers (id, user_id, mode, credit_balance, access_version, created_at) VALUES
    (1, 1, 'live', 0, 0, :at), (2, 2, 'live', 0, 0, :at), (3, 3, 'live', 0, 0, :at), (4, 4, 'live', 0, 0, :at),
    (5, 5, 'live', 0, 0, :at);
INSERT INTO stripe_customers (id, customer_id, mode, stripe_id, email, is_current, attempt, created_at) VALUES
    (1, 1, 'live', 'cus_1', 'bought@example.com', true, 1, :at),
    (2, 2, 'live', 'cus_2', 'victim@example.com', true, 1, :at),
    (3, 3, 'live', 'cus_3', 'proven@example.com', true, 1, :at),
    (5, 5, 'live', 'cus_5', 'imported@example.com', true, 1, :at);
INSERT INTO purchases (id, number, customer_id, mode, kind, item, name, tier, amount, currency, interval, params,
    attempt, session_id, payment_link, made_account, state, paid_at, created_at) VALUES
    (1, 'PO-1', 1, 'live', 'plan', 'pro-monthly', 'Pro', 'pro', 4999, 'usd', 'month', '{}', 1, 'cs_live_1',
     'plink_1', true, 'paid', :at, :at),
    (2, 'PO-2', 2, 'live', 'plan', 'pro-monthly', 'Pro', 'pro', 4999, 'usd', 'month', '{}', 1, 'cs_live_2',
     'plink_1', false, 'paid', :at, :at),
    (3, 'PO-3', 3, 'live', 'plan', 'pro-monthly', 'Pro', 'pro', 4999, 'usd', 'month', '{}', 1, 'cs_live_3',
     'plink_1', false, 'paid', :at, :at),
    (4, 'PO-4', 2, 'live', 'plan', 'pro-monthly', 'Pro', 'pro', 4999, 'usd', 'month', '{}', 1, 'cs_live_4',
     NULL, false, 'paid', :at, :at);
INSERT INTO audit_entries
    (at, action, actor, user_id, customer_id, subject, before, after, network, request_id, key) VALUES
    (:at, 'customer.adopted', 'command', 2, 2, 'cus_2', '{}', '{}', '', '', 'customer.adopted:live:cus_2'),
    (:at, 'customer.adopted', 'command', 5, 5, 'cus_5', '{}', '{}', '', '', 'customer.adopted:live:cus_5')
"""
TOKEN = """
INSERT INTO mail_tokens (user_id, purpose, token_hash, created_at, expires_at)
VALUES (:user, :purpose, :hash, :at, :until)"""
KEY = """
INSERT INTO api_keys (customer_id, name, scopes, prefix, hash, created_at)
VALUES (:customer, 'sold', '["read"]', :prefix, :hash, :at)"""


def written(at: datetime) -> str:
    """Return a time as both databases store it; SQLite's has no zone."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


@pytest.fixture(params=["sqlite", "postgresql"])
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """The portal on a database with data of the previous version."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/earlier.db"
    else:
        url = fresh_database(request.getfixturevalue("postgres_server"), f"portal_earlier_{worker()}")
    app = create_app(settings_module.load(environ(tmp_path, url, 8000, "http://127.0.0.1:9"), env_file=None))
    at = {"at": written(NOW)}
    with app.app_context():
        upgrade(revision=BEFORE)
        for statement in ROWS.split(";"):
            db.session.execute(text(statement), at)
        for user, purpose in ((1, "claim"), (2, "verify"), (3, "reset")):
            facts = {"user": user, "purpose": purpose, "hash": tokens.digest(SECRETS[purpose])}
            db.session.execute(text(TOKEN), at | facts | {"until": written(NOW + timedelta(hours=1))})
        for customer, secret in KEYS.items():
            facts = {"customer": customer, "prefix": secret[:17], "hash": digest(secret)}
            db.session.execute(text(KEY), at | facts)
        db.session.commit()
        upgrade()
        db.session.remove()
    app.config.update(WTF_CSRF_ENABLED=False)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def test_users_without_a_password_become_unclaimed_as_they_are_and_links_go_on(upgraded: Flask) -> None:
    with upgraded.app_context():
        users = {user_id: db.session.get_one(User, user_id) for user_id in range(1, 6)}
        assert [user_id for user_id, user in users.items() if user.is_waiting] == [1, 5]
        assert [user_id for user_id, user in users.items() if user.is_proven] == [3]
        assert [one.id for one in owners.waiting("bought@example.com")] == [1]
        assert owners.proven("victim@example.com") is None
        db.session.remove()
    client = upgraded.test_client()
    for secret in KEYS.values():
        assert client.get("/v1/receipt", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    for purpose, path in (("claim", "/claim/"), ("verify", "/verify/"), ("reset", "/password/reset/")):
        assert client.get(path + SECRETS[purpose]).status_code == 200, purpose
    claimed = client.post(f"/claim/{SECRETS['claim']}", data={"password": "a whole new password"})
    assert claimed.status_code == 303, claimed.text
    with upgraded.app_context():
        account = owners.account("bought@example.com")
        assert account is not None
        assert (account.id, account.is_proven) == (1, True)
        db.session.remove()
    used = client.get("/v1/receipt", headers={"Authorization": f"Bearer {KEYS[1]}"})
    assert used.status_code == 200  # the buyer's key is deployed, and goes on


def test_purchases_that_joined_an_unproven_account_are_named_with_what_to_do(upgraded: Flask) -> None:
    with upgraded.app_context():
        found = list(past_errors.joined_unproven("live"))
        assert [(one.what, one.about, one.found) for one in found] == [
            ("unproven address", "PO-2", "user 2 never proved it"),
            ("unproven address", "cus_2", "user 2 never proved it"),
        ]
        assert "refund" in found[0].remedy
        assert list(past_errors.joined_unproven("test")) == []
        db.session.execute(text("UPDATE users SET verified_at = :at WHERE id = 2"), {"at": written(NOW)})
        assert list(past_errors.joined_unproven("live")) == []
        db.session.rollback()
