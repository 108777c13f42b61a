"""Reports of errors to Sentry, if SENTRY_DSN is set.

What is logged as an error is reported, so no other code calls Sentry. A report has the error's type, its stack,
the log's event name, the route and the request id. The error's message stays in the log, where the request id
finds it: a message may repeat what a customer entered.
"""

from typing import Any

import sentry_sdk
from flask import g, has_request_context, request
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.types import Event, Hint
from structlog.typing import EventDict

from portal.settings import Settings
from portal.settings.version import __version__

# Parts of a report that may hold bodies, headers, query strings, personal data or the process's environment.
DROPPED = ("request", "user", "breadcrumbs", "extra", "modules", "server_name")
DROPPED_OF_FRAMES = ("vars", "abs_path", "pre_context", "context_line", "post_context")
LEVELS = ("error", "critical", "exception")


def init(settings: Settings) -> None:
    """Start reporting, if SENTRY_DSN is set."""
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        settings.sentry_dsn,
        release=__version__,
        environment=settings.environment,
        # The default integrations add data of their own, and report logged errors a second time.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[AtexitIntegration(callback=lambda _pending, _timeout: None)],
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=scrub,
    )


def report(_logger: Any, method: str, event: EventDict) -> EventDict:
    """Report a line that is logged as an error, if reporting was started; return it, as processors do."""
    if method not in LEVELS or not sentry_sdk.is_initialized():
        return event
    name = str(event["event"])
    with sentry_sdk.new_scope() as scope:
        scope.set_tag("logged_as", name)
        if has_request_context():
            scope.set_transaction_name(request.url_rule.rule if request.url_rule else "unknown route")
            scope.set_tag("method", request.method)
            scope.set_tag("request_id", g.get("request_id", ""))
        error = event.get("exc_info")
        if isinstance(error, BaseException):
            scope.capture_exception(error)
        else:
            scope.capture_message(name, level="error")
    return event


def scrub(event: Event, _hint: Hint) -> Event:
    """Remove what may identify a person or hold a secret."""
    for name in DROPPED:
        event.pop(name, None)  # type: ignore[misc]
    for error in event.get("exception", {}).get("values", ()):
        error["value"] = "The message is in the log."
        for frame in error.get("stacktrace", {}).get("frames", ()):
            for name in DROPPED_OF_FRAMES:
                frame.pop(name, None)
    return event
