"""The page `/metrics`."""

import hmac
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from portal import instruments
from portal.errors import Unauthorized
from portal.extensions import limiter, writes
from portal.metrics.collector import FromDatabase, of_processes
from portal.settings import current_settings

blueprint = Blueprint("metrics", __name__)

REMEMBERED = 15  # seconds
LOOPBACK = ("127.0.0.1", "::1")
FILE = "database.prom"


@blueprint.get("/metrics")
@limiter.exempt
@writes  # it begins its own transaction: without a database it still answers
def metrics() -> Response:
    """Return every metric in Prometheus's text format."""
    _check()
    text = _of_processes() + _remembered(_of_database)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


def _check() -> None:
    """Raise Unauthorized unless METRICS_TOKEN is sent. Development also answers this machine; in production a
    proxy makes every visitor seem to be on it.
    """
    settings = current_settings()
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    expected = settings.metrics_token
    if expected and scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), expected.encode()):
        return
    if not settings.is_production and request.remote_addr in LOOPBACK:
        return
    raise Unauthorized("Send METRICS_TOKEN as `Authorization: Bearer TOKEN`.")


def _of_processes() -> bytes:
    """Return the instruments of all processes of this host."""
    registry = CollectorRegistry()
    registry.register(of_processes())
    return generate_latest(registry)


def _of_database() -> bytes:
    registry = CollectorRegistry()
    registry.register(FromDatabase())
    return generate_latest(registry)


_lock = threading.Lock()
_latest: tuple[float, bytes] = (-REMEMBERED, b"")


def _remembered(make: Callable[[], bytes]) -> bytes:
    """Return the text of the last 15 seconds, else make it anew.

    Processes share one file: a number that another process read earlier must not come after a later one, because
    Prometheus takes a counter that falls for one that began again at 0.
    """
    global _latest
    with _lock:
        if folder := os.environ.get(instruments.FOLDER):
            return _from_file(Path(folder) / FILE, make)
        if time.monotonic() - _latest[0] >= REMEMBERED:
            _latest = time.monotonic(), make()
        return _latest[1]


def _from_file(path: Path, make: Callable[[], bytes]) -> bytes:
    import fcntl  # Windows has none, and no gunicorn either

    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        at, _, text = file.read().partition(b"\n")
        if at and 0 <= time.time() - float(at) < REMEMBERED:
            return text
        text = make()
        file.truncate(0)
        file.write(f"{time.time()}\n".encode() + text)
        return text
