"""Events as the sandbox created them, delivered manually: signed, in any order, any number of times."""

import json
from typing import Any

import requests
import stripe
from sqlalchemy import select

from portal.extensions import db
from portal.models import Base
from tests.support import servers
from tests.support.world import World, changes_allowed

Json = dict[str, Any]
Photograph = dict[str, list[Json]]

PATHS = {"live": "/api/webhooks/stripe", "test": "/api/webhooks/stripe-test"}
KEYS = {"live": servers.LIVE_KEY, "test": servers.TEST_KEY}


def newest(here: World, mode: str = "live") -> str:
    """The id of the newest event at the sandbox: a mark for `since`."""
    return str(_page(here, mode, limit="1")[0]["id"])


def since(here: World, mark: str, mode: str = "live") -> list[Json]:
    """List the events after the mark, oldest first."""
    return _page(here, mode, limit="100", ending_before=mark)[::-1]


def of_type(here: World, mark: str, kind: str, mode: str = "live") -> list[Json]:
    """List the events of this type after the mark."""
    return [event for event in since(here, mark, mode) if event["type"] == kind]


def _page(here: World, mode: str, **params: str) -> list[Json]:
    headers = {"Authorization": f"Bearer {KEYS[mode]}", "Stripe-Version": stripe.api_version}
    answer = requests.get(f"{here.sandbox}/v1/events", params=params, headers=headers, timeout=30)
    answer.raise_for_status()
    events: list[Json] = answer.json()["data"]
    return events


def body(event: Json) -> str:
    """The event as it is sent."""
    return json.dumps(event)


def deliver(here: World, event: Json, mode: str = "live", **headers: str) -> requests.Response:
    """Send an event as Stripe does, with more headers if need be."""
    text = body(event)
    header = stripe.WebhookSignature.generate_signature_header(text, servers.SECRETS[mode])
    return requests.post(
        here.base + PATHS[mode],
        data=text,
        headers={"Stripe-Signature": header, "Content-Type": "application/json"} | headers,
        timeout=30,
    )


def photograph() -> Photograph:
    """Return every row of every table, for `restore`."""
    return {
        table.name: [dict(row) for row in db.session.execute(select(table)).mappings()]
        for table in Base.metadata.sorted_tables
    }


def restore(taken: Photograph) -> None:
    """Restore the database to the photograph. Commits."""
    with changes_allowed("audit_entries"):
        for table in reversed(Base.metadata.sorted_tables):
            db.session.execute(table.delete())
    for table in Base.metadata.sorted_tables:
        if rows := taken[table.name]:
            db.session.execute(table.insert(), rows)
    db.session.commit()
