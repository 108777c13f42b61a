"""Errors are reported to Sentry without anything about a person; a server here stands in for Sentry's."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
import structlog
from flask import Flask

from portal import create_app, jobs, logs
from portal import settings as settings_module
from tests.support.servers import free_port
from tests.support.world import environ, eventually

SECRETS = (
    "sk_live_planted",
    "whsec_planted",
    "alice@example.com",
    "planted-body",
    "planted-query",
    "planted-cookie",
    "planted-header",
    "planted-local",
    "planted-message",
)


class Reported:
    """What arrived: the whole bodies, and the events in them."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of all envelopes: https://develop.sentry.dev/sdk/data-model/envelopes/."""
        lines = [line for body in self.bodies for line in body.splitlines()]
        parsed = [json.loads(line) for line in lines if line]
        return [one for one in parsed if "event_id" in one and "level" in one]


@pytest.fixture
def reported() -> Iterator[tuple[Reported, str]]:
    """A server that keeps reports, and the DSN that leads to it."""
    kept = Reported()

    class Ingest(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.bodies.append((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Write nothing to the console."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ingest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept, f"http://public@127.0.0.1:{server.server_port}/1"
    sentry_sdk.init()  # without a DSN: the tests that follow report nothing
    logs.configure(production=False)
    server.shutdown()
    server.server_close()


def portal(folder: Path, **more: str) -> Flask:
    """A portal on a database of its own, with a page that fails."""
    given = environ(folder, f"sqlite:///{folder}/portal.db", free_port(), "http://127.0.0.1:1") | more
    app = create_app(settings_module.load(given, env_file=None))
    app.config.update(RATELIMIT_ENABLED=False, WTF_CSRF_ENABLED=False)

    @app.post("/fails/<token>")
    def fails(token: str) -> str:
        local = "planted-local"
        raise ValueError(f"planted-message of alice@example.com, {local} {token} sk_live_planted")

    return app


def test_an_error_is_reported_without_what_identifies_a_person(
    tmp_path: Path, reported: tuple[Reported, str]
) -> None:
    kept, dsn = reported
    client = portal(tmp_path, SENTRY_DSN=dsn).test_client()
    client.set_cookie("session", "planted-cookie")
    headers = {"Stripe-Signature": "v1=planted-header", "Authorization": "Bearer planted-header"}
    address = "/fails/whsec_planted?session_id=planted-query"
    assert client.post(address, data={"email": "planted-body"}, headers=headers).status_code == 500
    event = eventually(lambda: kept.events)[0]
    error = event["exception"]["values"][-1]
    assert error["type"] == "ValueError"
    assert error["stacktrace"]["frames"][-1]["function"] == "fails"
    assert event["transaction"] == "/fails/<token>"
    assert event["tags"]["logged_as"] == "unexpected_error"
    assert event["tags"]["request_id"]
    whole = "\n".join(kept.bodies)
    assert [secret for secret in SECRETS if secret in whole] == []


def test_a_failed_task_and_a_logged_error_are_reported(
    tmp_path: Path, reported: tuple[Reported, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, dsn = reported

    def fails() -> int:
        raise RuntimeError("planted-message")

    app = portal(tmp_path, SENTRY_DSN=dsn)
    monkeypatch.setattr(jobs, "tasks", {"fails": fails})
    with app.app_context():
        jobs.tick()
        structlog.get_logger().error("stripe_key_refused", setting="sk_live_planted")
        structlog.get_logger().warning("not_reported", setting="sk_live_planted")
    eventually(lambda: len(kept.events) == 2)
    assert {event["tags"]["logged_as"] for event in kept.events} == {"scheduled_task_failed", "stripe_key_refused"}
    assert "planted" not in "\n".join(kept.bodies)


def test_nothing_is_reported_without_a_dsn(tmp_path: Path, reported: tuple[Reported, str]) -> None:
    kept, _dsn = reported
    assert portal(tmp_path).test_client().post("/fails/x").status_code == 500
    sentry_sdk.flush()
    assert kept.bodies == []


def test_a_sentry_that_is_down_delays_nothing(tmp_path: Path, reported: tuple[Reported, str]) -> None:
    _kept, _dsn = reported
    client = portal(tmp_path, SENTRY_DSN=f"http://public@127.0.0.1:{free_port()}/1").test_client()
    assert client.post("/fails/x").status_code == 500
