"""The certificates of the portal's own addresses."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from portal import clock
from portal.doctor.check import Check, Problem
from portal.settings import current_settings

SOON, VERY_SOON = timedelta(days=21), timedelta(days=7)
TIMEOUT = 5  # seconds


def certificates() -> Iterator[Problem]:
    """Connect to BASE_URL and FRONTEND_URL where they are https, and look when their certificates end."""
    given = current_settings()
    for name, url in {"FRONTEND_URL": given.frontend_url, "BASE_URL": given.base_url}.items():
        if url.startswith("https://") and (name == "BASE_URL" or url != given.base_url):
            yield from _of(name, url)


def _of(name: str, url: str) -> Iterator[Problem]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        with (
            socket.create_connection((host, port), TIMEOUT) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            found = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        yield Problem(f"The certificate of {name} is not valid: {error.verify_message}.")
        return
    except OSError as error:
        yield Problem(f"{name} cannot be reached: {type(error).__name__}.")
        return
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
    if (left := ends - clock.now()) < SOON:
        yield Problem(f"The certificate of {name} ends on {ends:%Y-%m-%d}.", is_warning=left > VERY_SOON)


CHECKS = (
    Check(
        "certificates",
        "Browsers refuse the pages, and Stripe stops delivering.",
        "Renew it at the TLS server in front.",
        certificates,
    ),
)
