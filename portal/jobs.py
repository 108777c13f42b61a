"""Scheduled tasks, and the rows that wait to be handled: here, or by a worker (`JOBS=celery`).

What is due is read from the tables (an email not sent yet, an event still `received`): the rows are the queue, and
their retries, back-off and parking stand in them. A task sent to a worker only says which row is due, so it may be
lost or come twice. A missed run of the scheduled tasks delays a row by a minute and loses nothing.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from flask import Flask, current_app
from sqlalchemy import delete, select, tuple_

from portal import audit
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, rows_changed

log = structlog.get_logger()

EVERY_SECONDS = 60
TOGETHER = 1000  # rows deleted in one transaction
WORKERS = "workers"  # in app.extensions
Task = Callable[[], int]


@dataclass(frozen=True)
class Job:
    """A row that waits to be handled, or whose handling failed."""

    kind: str
    id: int
    about: str
    state: str
    attempts: int
    since: datetime
    due_at: datetime | None  # null: at once, or not by itself
    error: str = ""


@dataclass(frozen=True)
class Kind:
    """What a kind of row registers in create_app.

    `handle` does what is due about the row with this id, and nothing if it is done or gone; it commits.
    `waiting` lists up to so many rows, oldest first. `make_due` ends a row's back-off; it flushes.
    """

    handle: Callable[[int], object]
    waiting: Callable[[int], list[Job]]
    make_due: Callable[[int], None]


class Workers(Protocol):
    """Whoever takes rows to other processes."""

    def send(self, kind: str, row_id: int) -> None:
        """Say that a row is due. It may be lost."""


tasks: dict[str, Task] = {}  # rooms register theirs in create_app; each commits and can run at any time
kinds: dict[str, Kind] = {}  # likewise
_wake = threading.Event()


def are_elsewhere() -> bool:
    """Return whether workers handle rows. Failures are then retried by us, because Stripe has had its 200."""
    return WORKERS in current_app.extensions


def hand_over(kind: str, row_id: int) -> bool:
    """Send a committed row to a worker and return True; False without workers: then the caller handles it."""
    if not are_elsewhere():
        return False
    workers: Workers = current_app.extensions[WORKERS]
    workers.send(kind, row_id)
    return True


def handle(kind: str, row_id: int) -> None:
    """Handle one row, in a worker. What fails is on the row, and is logged.

    A kind that this version does not know belongs to another version's worker: the row stays as it is.
    """
    if kind not in kinds:
        log.warning("job_of_unknown_kind", kind=kind, row=row_id)
        return
    try:
        with audit.acting_as("clock"):
            kinds[kind].handle(row_id)
    except Exception as error:
        db.session.rollback()
        log.error("job_failed", kind=kind, row=row_id, error=type(error).__name__, exc_info=error)


def waiting(limit: int) -> list[Job]:
    """Return up to `limit` rows of each kind that wait or failed, oldest first."""
    return [job for kind in kinds.values() for job in kind.waiting(limit)]


def retry(kind: str, row_id: int) -> str:
    """Handle a waiting row now, whatever its back-off, and return where. Commits.

    Raises InvalidInput, NotFound.
    """
    if kind not in kinds:
        raise InvalidInput(f"There is no kind {kind}: there are {', '.join(kinds)}.")
    try:
        kinds[kind].make_due(row_id)
    except NotFound:
        db.session.rollback()
        raise
    db.session.commit()
    if hand_over(kind, row_id):
        return "handed to a worker"
    handle(kind, row_id)
    return "tried"


def retry_all(limit: int) -> Iterator[tuple[Job, str]]:
    """Do the same for every waiting row, and yield each with its outcome."""
    for job in waiting(limit):
        try:
            yield job, retry(job.kind, job.id)
        except NotFound:
            yield job, "done meanwhile"


def tick() -> dict[str, int]:
    """Run every scheduled task once, and return how much each did.

    A task that fails is logged and does not stop the others.
    """
    done = {}
    for name, task in tasks.items():
        try:
            with audit.acting_as("clock"):
                done[name] = task()
        except Exception as error:
            db.session.rollback()
            log.error("scheduled_task_failed", task=name, error=type(error).__name__, exc_info=error)
    return done


def delete_due(key: tuple[Any, ...], when: Any, before: datetime) -> int:
    """Delete the rows of a table whose time is past, oldest first, and return how many. Commits after each batch.

    `key` are the columns of its primary key, and `when` is the column with the time.
    """
    model, deleted = when.class_, 0
    oldest = select(*key).where(when < before).order_by(when).limit(TOGETHER)
    while True:
        gone = rows_changed(delete(model).where(tuple_(*key).in_(oldest)))
        db.session.commit()
        deleted += gone
        if gone < TOGETHER:
            return deleted


def do_soon(kind: str, row_id: int | None) -> None:
    """Have a row that was just committed handled now instead of within the minute: by a worker, or by this
    process's ticker.
    """
    if row_id is None or not hand_over(kind, row_id):
        _wake.set()


def after_fork(app: Flask) -> None:
    """Set up a new worker of gunicorn: fresh database connections, and a ticker unless Celery's beat is there."""
    with app.app_context():
        db.engine.dispose(close=False)
        if are_elsewhere():
            return
    threading.Thread(target=_run, args=(app,), name="ticker", daemon=True).start()


def _run(app: Flask) -> None:
    while True:
        with app.app_context():
            tick()
        _wake.wait(EVERY_SECONDS)
        _wake.clear()
