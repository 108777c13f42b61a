"""The portal for gunicorn, with a worker that a test can kill between two steps.

A request that carries `Die-After-Commit: 3` kills its worker, by SIGKILL, right after its third commit.
"""

import os
import signal
import threading
from collections.abc import Iterable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from portal.extensions import db
from wsgi import app as portal

HEADER = "Die-After-Commit"
_left = threading.local()


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The portal, which dies after a number of commits; 0: never."""
    _left.commits = int(environ.get("HTTP_DIE_AFTER_COMMIT", 0))
    return portal(environ, start_response)


@event.listens_for(db.session, "after_commit")
def _count(_session: Session) -> None:
    commits = getattr(_left, "commits", 0)
    if commits == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    _left.commits = commits - 1
