"""Measures each request."""

import time

from flask import Flask, Response, g, request

from portal import instruments


def init_app(app: Flask) -> None:
    """Measure each request from here on."""

    @app.before_request
    def _begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def _end(response: Response) -> Response:
        if (began := g.pop("began", None)) is not None:
            instruments.REQUESTS.labels(request.endpoint or "none").observe(time.perf_counter() - began)
            instruments.RESPONSES.labels(f"{response.status_code // 100}xx").inc()
        return response
