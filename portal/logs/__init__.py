"""Structured logs: JSON lines in production, readable ones in development, never with secrets."""

import logging
import re
import secrets
import sys
from typing import Any

import structlog
from flask import Flask, Response, g, request
from structlog.typing import EventDict, Processor

from portal import dry_run

# Patterns of secrets: Stripe's keys, webhook secrets, our API keys, operator keys, signatures, session tokens,
# card numbers.
SECRET = re.compile(
    r"\b(?:sk|rk|pk)_(?:live|test)_\w+|\bwhsec_\w+|\bkey_(?:live|test)_\w+|\bopk_\w+|\bv1=[0-9a-f]{16,}|\b\d{13,19}\b"
)
MASK = "[masked]"
ID_PATTERN = re.compile(r"[\w-]{8,64}")


def mask(text: str) -> str:
    """Return the text with everything that looks like a secret replaced."""
    return SECRET.sub(MASK, text)


def _mask_values(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


def _without_dry_runs(_logger: Any, method: str, event: EventDict) -> EventDict:
    """Drop what a dry run says as if it had happened. Warnings and errors stay, marked."""
    if not dry_run.under_way():
        return event
    if method in ("debug", "info"):
        raise structlog.DropEvent
    event["dry_run"] = True
    return event


def _add_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    if g and (request_id := g.get("request_id")):
        event.setdefault("request_id", request_id)
    return event


def configure(production: bool, report: Processor | None = None) -> None:
    """Configure structlog and the standard library's logging alike, once per process.

    `report` is given each line of ours before its exception becomes text.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request,
        structlog.processors.format_exc_info,
        _mask_values,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if production
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            *filter(None, (_without_dry_runs, report)),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("stripe").setLevel(logging.WARNING)  # its INFO lines repeat each request's path
    logging.getLogger("alembic").setLevel(logging.WARNING)


def init_app(app: Flask) -> None:
    """Give each request an id, taken from the proxy in front if that sent a valid one."""

    @app.before_request
    def _begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if ID_PATTERN.fullmatch(given) else secrets.token_hex(8)

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        return response
