"""Workers on Celery (`JOBS=celery`): two tasks, `handle(kind, id)` and `tick`, over Redis.

Neither holds anything that the tables do not: a lost task is found by the next tick, and one that comes twice
finds nothing to do. So nothing waits for Redis, is retried by Celery, or stored by it.
"""

from typing import Any

import structlog
from celery import Celery
from flask import Flask
from kombu.exceptions import OperationalError
from redis import RedisError

from portal import jobs
from portal.api.circuit_breaker import Breaker
from portal.extensions import REDIS_OPTIONS, db
from portal.settings import Settings

log = structlog.get_logger()

HANDLE = "portal.handle"
TICK = "portal.tick"
THREADS = 8  # per worker; a task mostly waits for Stripe
QUEUE = "portal"
DOWN = (RedisError, OperationalError, OSError)
# A worker's connection waits for tasks. It fails a while after Redis stopped answering, and connects again.
WAITING = {"max_retries": 0, "socket_connect_timeout": 5, "socket_timeout": 30, "health_check_interval": 10}


class CeleryWorkers:
    """Sends rows to Celery. While Redis is down they wait for the next tick, and no request waits for Redis."""

    def __init__(self, celery: Celery) -> None:
        self.celery = celery
        self._breaker = Breaker(DOWN)

    def send(self, kind: str, row_id: int) -> None:
        """Say that a row is due. It may be lost."""
        self._breaker.ask(
            lambda: self.celery.send_task(HANDLE, (kind, row_id), retry=False, ignore_result=True), lambda: None
        )


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its workers."""
    celery = Celery("portal", broker=settings.redis_url, set_as_current=False)
    celery.conf.update(_config(settings))
    celery.conf.broker_transport_options = REDIS_OPTIONS | {"max_retries": 0}
    app.extensions[jobs.WORKERS] = CeleryWorkers(celery)
    _define(celery, app)


def for_worker(app: Flask) -> Celery:
    """Return the Celery application for `celery --app worker`: with time limits that suit a process that waits."""
    workers: CeleryWorkers = app.extensions[jobs.WORKERS]
    workers.celery.conf.broker_transport_options = WAITING
    return workers.celery


def _config(settings: Settings) -> dict[str, Any]:
    return {
        "task_ignore_result": True,
        "task_default_queue": QUEUE,
        "task_publish_retry": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_pool": "threads",
        "worker_concurrency": THREADS,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "beat_schedule_filename": str(settings.instance_path / "beat-schedule"),
        "beat_schedule": {
            "tick": {
                "task": TICK,
                "schedule": float(jobs.EVERY_SECONDS),
                "options": {"expires": jobs.EVERY_SECONDS},  # they do not pile up while no worker runs
            }
        },
    }


def _define(celery: Celery, app: Flask) -> None:
    @celery.task(name=HANDLE)
    def handle(kind: str, row_id: int) -> None:
        with app.app_context():
            try:
                jobs.handle(kind, row_id)
            finally:
                db.session.remove()

    @celery.task(name=TICK)
    def tick() -> None:
        with app.app_context():
            jobs.tick()
