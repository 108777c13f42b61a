"""The queue's door: what time brings, done each minute by a thread of the portal's own, or by `flask tick`.

The rows are the truth (a mail not yet sent, an event still `received`); this only rings. A lost ring costs a
minute, never a mail.
"""

import threading
from collections.abc import Callable

import structlog
from flask import Flask

from portal import audit
from portal.extensions import db

log = structlog.get_logger()

EVERY_SECONDS = 60
Chore = Callable[[], int]

chores: dict[str, Chore] = {}  # rooms register theirs in create_app; each commits and is safe at any moment
_bell = threading.Event()


def tick() -> dict[str, int]:
    """Do every chore once; one that fails is logged and does not stop the others. Gives how much each did."""
    done = {}
    for name, chore in chores.items():
        try:
            with audit.acting_as("clock"):
                done[name] = chore()
        except Exception as error:
            db.session.rollback()
            log.error("chore_failed", chore=name, error=type(error).__name__, exc_info=error)
    return done


def ring() -> None:
    """Do the chores now rather than within the minute, where a ticker runs in this process."""
    _bell.set()


def after_fork(app: Flask) -> None:
    """In a new worker: fresh database connections, and a ticker."""
    with app.app_context():
        db.engine.dispose(close=False)
    threading.Thread(target=_run, args=(app,), name="ticker", daemon=True).start()


def _run(app: Flask) -> None:
    while True:
        with app.app_context():
            tick()
        _bell.wait(EVERY_SECONDS)
        _bell.clear()
