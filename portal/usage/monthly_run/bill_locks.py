"""A lock for each bill, for concurrent runs.

It ends with its process, so a run after kill -9 finds nothing locked, and no transaction is open while it is held.
"""

import errno
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from portal.extensions import db
from portal.settings import current_settings

FIRST = 7_000_002 * 10**12  # bill n is PostgreSQL's advisory lock FIRST + n
TAKE = text("SELECT pg_try_advisory_lock(:lock)")
TAKE_FOR_TRANSACTION = text("SELECT pg_try_advisory_xact_lock(:lock)")
STAY = text("SET LOCAL idle_in_transaction_session_timeout = 0")
GIVE = text("SELECT pg_advisory_unlock(:lock)")


class Locks(ABC):
    """The locks that one run holds. Its threads share it, and never ask for the same bill."""

    @abstractmethod
    def take(self, bill_id: int) -> bool:
        """Lock a bill and return whether that succeeded."""

    @abstractmethod
    def give(self, bill_id: int) -> None:
        """Release a bill."""

    @contextmanager
    def held(self, bill_id: int) -> Iterator[bool]:
        """Hold a bill within the context; yield False if another run has it."""
        mine = self.take(bill_id)
        try:
            yield mine
        finally:
            if mine:
                self.give(bill_id)


class AdvisoryLocks(Locks):
    """PostgreSQL's advisory locks, on a separate connection, so that several machines can share a run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = threading.Lock()  # one connection for several threads

    def take(self, bill_id: int) -> bool:
        with self._turn:
            return bool(self._connection.execute(TAKE, {"lock": FIRST + bill_id}).scalar_one())

    def give(self, bill_id: int) -> None:
        with self._turn:
            self._connection.execute(GIVE, {"lock": FIRST + bill_id})


class FileLocks(Locks):
    """File locks for SQLite, which is limited to one machine: byte n of a file is bill n."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()

    def take(self, bill_id: int) -> bool:
        try:
            self._lock(bill_id, take=True)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise
            return False
        return True

    def give(self, bill_id: int) -> None:
        self._lock(bill_id, take=False)

    def _lock(self, byte: int, *, take: bool) -> None:
        """Lock or release one byte of the file. Raises OSError if another process has it.

        The modules are imported here because each system has only one of them, and every command imports this
        package.
        """
        if sys.platform == "win32":
            import msvcrt

            with self._turn:  # Windows locks at the file's position, which the threads share
                os.lseek(self._descriptor, byte, os.SEEK_SET)
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK if take else msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            how = fcntl.LOCK_EX | fcntl.LOCK_NB if take else fcntl.LOCK_UN
            fcntl.lockf(self._descriptor, how, 1, byte)


@contextmanager
def of_bill(bill_id: int) -> Iterator[bool]:
    """Hold one bill's lock within the context, in a worker; yield False if another worker or run has it.

    On PostgreSQL it belongs to a transaction, so that it also holds behind PgBouncer.
    """
    if db.engine.dialect.name != "postgresql":
        with of_run() as mine, mine.held(bill_id) as is_mine:
            yield is_mine
        return
    with db.engine.connect() as connection, connection.begin():
        connection.execute(STAY)
        yield bool(connection.execute(TAKE_FOR_TRANSACTION, {"lock": FIRST + bill_id}).scalar_one())


@contextmanager
def of_run() -> Iterator[Locks]:
    """Return the locks of one run, for the database in use."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield AdvisoryLocks(connection)
        return
    with (current_settings().instance_path / "bill-month.lock").open("a") as file:
        yield FileLocks(file.fileno())
