"""Scheduled tasks: run each minute by a thread of the portal, or by `flask tick`.

What is due is read from the tables (an email not sent yet, an event still `received`). A missed run delays it by a
minute and loses nothing.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from flask import Flask
from sqlalchemy import delete, select, tuple_

from portal import audit
from portal.extensions import db, rows_changed

log = structlog.get_logger()

EVERY_SECONDS = 60
TOGETHER = 1000  # rows deleted in one transaction
Task = Callable[[], int]

tasks: dict[str, Task] = {}  # rooms register theirs in create_app; each commits and can run at any time
_wake = threading.Event()


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


def run_soon() -> None:
    """Run the scheduled tasks now instead of within the minute, if this process has a ticker."""
    _wake.set()


def after_fork(app: Flask) -> None:
    """Set up a new worker: fresh database connections, and a ticker."""
    with app.app_context():
        db.engine.dispose(close=False)
    threading.Thread(target=_run, args=(app,), name="ticker", daemon=True).start()


def _run(app: Flask) -> None:
    while True:
        with app.app_context():
            tick()
        _wake.wait(EVERY_SECONDS)
        _wake.clear()
