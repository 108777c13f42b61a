"""A deadline for request bodies: who sends one too slowly gets a 408, and others get the thread.

Threads read bodies from a blocking socket. A few dozen connections that send half a body each would otherwise
occupy all of them. Slow headers are the reverse proxy's to refuse (docs/going-live.md).
"""

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from werkzeug.exceptions import RequestTimeout

SECONDS = 10.0  # in which a body has to arrive, the time between two reads aside


class _Watch:
    """One thread per process that ends the reading side of sockets whose time is over."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends: dict[socket.socket, float] = {}
        self._wakes = math.inf  # when the thread looks again
        self._thread: threading.Thread | None = None

    def begin(self, connection: socket.socket, seconds: float) -> None:
        """Let the connection read for so long."""
        with self._changed:
            end = self._ends[connection] = time.monotonic() + seconds
            if self._thread is None or not self._thread.is_alive():  # also in a worker that was forked
                self._thread = threading.Thread(target=self._run, name="slow bodies", daemon=True)
                self._thread.start()
            if end < self._wakes:  # rarely: nearly every body is there before the thread has to look
                self._changed.notify()

    def end(self, connection: socket.socket) -> None:
        """The connection has read what it wanted."""
        with self._changed:
            self._ends.pop(connection, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for connection in [one for one, end in self._ends.items() if end <= now]:
                    del self._ends[connection]
                    _stop_reading(connection)
                self._wakes = min(self._ends.values(), default=math.inf)
                self._changed.wait(self._wakes - now if self._ends else None)


def _stop_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)  # the read returns, and the response can still be sent
    except OSError:  # the client has gone
        return


_watch = _Watch()


class TimedStream:
    """`wsgi.input` with a time limit for all of its reads together. Raises RequestTimeout."""

    def __init__(self, stream: IO[bytes], connection: socket.socket) -> None:
        self._stream, self._connection, self._left = stream, connection, SECONDS

    def read(self, *size: int) -> bytes:
        with self._limited():
            return self._stream.read(*size)

    def readline(self, *size: int) -> bytes:
        with self._limited():
            return self._stream.readline(*size)

    def readlines(self, *hint: int) -> list[bytes]:
        with self._limited():
            return self._stream.readlines(*hint)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    @contextmanager
    def _limited(self) -> Iterator[None]:
        began = time.monotonic()
        _watch.begin(self._connection, self._left)
        try:
            yield
        except (OSError, ValueError):
            if self._is_late(began):
                raise RequestTimeout from None
            raise
        finally:
            _watch.end(self._connection)
        if self._is_late(began):
            raise RequestTimeout
        self._left -= time.monotonic() - began

    def _is_late(self, began: float) -> bool:
        return time.monotonic() - began >= self._left


def limit(environ: dict[str, Any]) -> None:
    """Give the body of a request to gunicorn its deadline; other servers have limits of their own."""
    if connection := environ.get("gunicorn.socket"):
        environ["wsgi.input"] = TimedStream(environ["wsgi.input"], connection)
