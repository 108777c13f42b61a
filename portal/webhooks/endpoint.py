"""Updating the webhook endpoint at Stripe from the handlers' table: `flask webhooks push`."""

import uuid
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from portal import gateway
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.gateway import WebhookEndpoint
from portal.settings import current_settings
from portal.webhooks.handlers import HANDLERS
from portal.webhooks.views import LIVE_PATHS, TEST_PATH

TEST_ONLY = "test_helpers."  # Stripe has these events only in test mode
EVERY = "*"


@dataclass(frozen=True)
class Pushed:
    """An endpoint and what a push changed, or (dry run) would change."""

    url: str
    what: Literal["created", "extended", "unchanged", "missing", "incomplete"]
    added: tuple[str, ...]  # the event types that it lacked
    is_enabled: bool = True
    other_version: str | None = None  # of its events, where they have another shape than this portal's calls
    secret: str | None = field(default=None, repr=False)  # of an endpoint that was just created


def events(mode: Mode) -> list[str]:
    """Return every event type that a mode's endpoint needs, sorted."""
    return sorted(kind for kind in HANDLERS if mode == Mode.TEST or not kind.startswith(TEST_ONLY))


def push(mode: Mode, url: str = "", *, dry_run: bool = False) -> Pushed:
    """Create the mode's endpoint at Stripe, or add missing event types. Removes none.

    Without a `url`, it uses an endpoint at any of the portal's URLs for this mode, and a new one gets the first of
    them. Commits, then calls Stripe. Raises InvalidInput, StripeRefused, StripeUnavailable.
    """
    db.session.commit()
    addresses = [url] if url else _addresses(mode)
    _check(addresses[0])
    found = [one for one in gateway.of(mode).webhook_endpoints() if one.url in addresses]
    if not found:
        return _create(mode, addresses[0], dry_run)
    found.sort(key=lambda one: (not one.is_enabled, addresses.index(one.url)))
    return _extend(mode, found, dry_run)


def _addresses(mode: Mode) -> list[str]:
    paths = LIVE_PATHS if mode == Mode.LIVE else (TEST_PATH,)
    return [current_settings().base_url + path for path in paths]


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("The URL is an https address, such as https://billing.example.com/api/webhooks/stripe.")
    if parts.scheme == "http" and current_settings().is_at_stripe:
        raise InvalidInput(
            f"Stripe delivers to https addresses only, and this is {url}. Set BASE_URL or --url; on your own"
            " machine use `stripe listen`."
        )


def _create(mode: Mode, url: str, dry_run: bool) -> Pushed:
    wanted = events(mode)
    if dry_run:
        return Pushed(url, "missing", tuple(wanted))
    # A new key each time: one derived from the URL would return an endpoint that was deleted within 24 hours.
    made = gateway.of(mode).create_webhook_endpoint(url, wanted, f"webhook-endpoint-{uuid.uuid4()}")
    return Pushed(url, "created", tuple(wanted), secret=made.secret)


def _extend(mode: Mode, found: list[WebhookEndpoint], dry_run: bool) -> Pushed:
    """Add event types that no enabled endpoint gets to the first one; several endpoints may share the events."""
    first = found[0]
    heard = frozenset[str]().union(*(one.events for one in found if one.is_enabled == first.is_enabled))
    added = () if EVERY in heard else tuple(kind for kind in events(mode) if kind not in heard)
    if added and not dry_run:
        gateway.of(mode).set_webhook_events(first.id, sorted(first.events | set(added)))
    done: Literal["extended", "incomplete"] = "incomplete" if dry_run else "extended"
    other = None if first.is_our_version else first.api_version or "the account's default"
    return Pushed(first.url, done if added else "unchanged", added, first.is_enabled, other)
