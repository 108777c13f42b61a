"""A TLS server in front of others, chosen by host name, with certificates of an authority made for the test."""

import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import trustme

HOP_BY_HOP = frozenset(("connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"))


@dataclass(frozen=True)
class Front:
    """Where it listens, and the certificate that signs those of its names."""

    port: int
    ca: Path


class _Forwarding(BaseHTTPRequestHandler):
    """Forwards each request to the server behind its host name, as nginx would: with X-Forwarded headers."""

    behind: Mapping[str, str]
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        host = (self.headers["Host"] or "").partition(":")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        headers |= {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": host}
        answer = requests.request(
            self.command,
            self.behind[host] + self.path,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=60,
        )
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = _forward  # noqa: N815  (names that http.server looks for)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def front(folder: Path, behind: dict[str, str]) -> Iterator[Front]:
    """Serve `behind` (host names to addresses) over TLS."""
    handler = type("Handler", (_Forwarding,), {"behind": behind})
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*behind).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Front(server.server_address[1], folder / "ca.pem")
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
