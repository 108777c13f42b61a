"""Who bills whom, where two runs meet: a lock for each bill.

It dies with its process, so that a rerun after kill -9 finds nothing locked, and no transaction is open while it
is held.
"""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from portal.extensions import db
from portal.settings import current_settings

FIRST = 7_000_002 * 10**12  # bill n is PostgreSQL's advisory lock FIRST + n
TAKE = text("SELECT pg_try_advisory_lock(:lock)")
GIVE = text("SELECT pg_advisory_unlock(:lock)")


class Locks:
    """What one run holds. Its threads share it, and never ask for the same bill."""

    def take(self, bill_id: int) -> bool:
        """Whether nobody else has this bill; it is held from now on."""
        raise NotImplementedError

    def give(self, bill_id: int) -> None:
        """Let others have it."""
        raise NotImplementedError

    @contextmanager
    def held(self, bill_id: int) -> Iterator[bool]:
        """Hold a bill meanwhile; False where another run has it."""
        mine = self.take(bill_id)
        try:
            yield mine
        finally:
            if mine:
                self.give(bill_id)


class AdvisoryLocks(Locks):
    """PostgreSQL's, on a connection of their own: several machines may share a run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = threading.Lock()  # one connection, many threads

    def take(self, bill_id: int) -> bool:
        with self._turn:
            return bool(self._connection.execute(TAKE, {"lock": FIRST + bill_id}).scalar_one())

    def give(self, bill_id: int) -> None:
        with self._turn:
            self._connection.execute(GIVE, {"lock": FIRST + bill_id})


class FileLocks(Locks):
    """Beside SQLite, which is one machine: byte n of a file is bill n."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def take(self, bill_id: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, bill_id)
        except BlockingIOError:
            return False
        return True

    def give(self, bill_id: int) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, bill_id)


@contextmanager
def of_run() -> Iterator[Locks]:
    """The locks of one run, for the database in use."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield AdvisoryLocks(connection)
        return
    with (current_settings().instance_path / "bill-month.lock").open("a") as file:
        yield FileLocks(file.fileno())
