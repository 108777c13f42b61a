"""Bodies that arrive too slowly, on raw sockets against a real gunicorn: a 408, and the threads are free again."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from portal.api import slow_bodies
from tests.support.world import World, gunicorn

MANY = 24  # more than one worker has threads
PATIENCE = 120  # seconds; what waits for longer is not answered at all

LENGTH = ("Content-Length: 1000", b"x" * 10, b"x")
CHUNKS = ("Transfer-Encoding: chunked", b"3e8\r\n" + b"x" * 10, b"x")


@pytest.fixture
def port(here: World) -> Iterator[int]:
    """The port of a portal with one worker of gunicorn, as `flask start` starts it."""
    with gunicorn(here) as base:
        yield int(base.rpartition(":")[2])


def drip(port: int, path: str, length: str, first: bytes, more: bytes) -> bytes:
    """Send a body that never ends, a byte a second, and return the first line of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        kind = "application/x-www-form-urlencoded"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
        connection.sendall(head.encode() + first)
        answered = threading.Event()

        def trickle() -> None:
            while not answered.wait(1):
                try:
                    connection.sendall(more)
                except OSError:
                    return

        threading.Thread(target=trickle, daemon=True).start()
        try:
            return connection.makefile("rb").readline().strip()
        finally:
            answered.set()


@pytest.mark.long  # waits for the deadline
@pytest.mark.parametrize("body", [LENGTH, CHUNKS], ids=["length", "chunks"])
def test_slow_bodies_are_answered_with_408_and_leave_the_threads_to_others(
    port: int, body: tuple[str, bytes, bytes]
) -> None:
    paths = ("/login", "/api/webhooks/stripe", "/api/auth/token")
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda number: drip(port, paths[number % 3], *body), range(MANY)))
    assert {answer.split()[1] for answer in answers} == {b"408"}, answers
    assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE).status_code == 200


@pytest.mark.long
def test_a_body_in_two_parts_is_read_whole(port: int) -> None:
    given = b"email=nobody%40example.com&password=x"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        head = f"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: {len(given)}\r\n\r\n"
        connection.sendall(head.encode() + given[:10])
        answered = connection.makefile("rb")
        threading.Timer(1, connection.sendall, [given[10:]]).start()
        assert b" 408 " not in answered.readline()


def test_other_servers_have_limits_of_their_own() -> None:
    given = {"wsgi.input": object()}
    slow_bodies.limit(given)
    assert not isinstance(given["wsgi.input"], slow_bodies.TimedStream)
