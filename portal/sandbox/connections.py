"""Persistent HTTP connections, as at Stripe. Werkzeug's server closes each after one request."""

import io
import logging
from typing import Any

from werkzeug import Response
from werkzeug.serving import WSGIRequestHandler

log = logging.getLogger(__name__)
BODILESS = (204, 304)


class KeptOpen(WSGIRequestHandler):
    """Reads the whole request and writes the whole response, so that the next request begins at the right
    place.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise each response waits for the client to acknowledge the previous one
    wbufsize = -1  # head and body are sent together

    def run_wsgi(self) -> None:
        """Respond to one request."""
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(self.body(environ))
        answer = self.answer(environ)
        self.send_response(answer.status_code, answer.status.partition(" ")[2])
        if answer.status_code not in BODILESS:
            answer.headers.setdefault("Content-Length", str(len(answer.data)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.data)
        self.wfile.flush()

    def body(self, environ: dict[str, Any]) -> bytes:
        """Return the request's body, chunked or with a content length."""
        if environ.get("wsgi.input_terminated"):
            sent: bytes = environ["wsgi.input"].read()
            return sent
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, environ: dict[str, Any]) -> Response:
        """Return the application's response; an unhandled error is logged."""
        try:
            return Response.from_app(self.server.app, environ, buffered=True)
        except Exception:
            log.exception("%s %s failed", self.command, environ["PATH_INFO"])
            return Response("Internal Server Error", 500)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing, because nobody reads it."""
