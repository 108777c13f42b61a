"""An endpoint for webhooks that keeps what it receives."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any


class Hook(http.server.ThreadingHTTPServer):
    """An endpoint that keeps what it receives, and returns the statuses that it is given, then 200."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Catch)
        self.got: list[tuple[bytes, str]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in list(self.got)]

    def named(self, type_: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["type"] == type_]

    def objects(self, type_: str) -> list[str]:
        return [event["data"]["object"]["id"] for event in self.named(type_)]


class Catch(http.server.BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.got.append((body, self.headers["Stripe-Signature"]))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing, because nobody reads it."""


@contextlib.contextmanager
def hooked(port: int = 0) -> Iterator[Hook]:
    """A Hook that listens."""
    with Hook(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
