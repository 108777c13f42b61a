"""Idempotency keys: the same key gets the same response for 24 hours."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import IdempotencyError, StripeError

Json = dict[str, Any]
KEPT = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class Reply:
    """A response: status, JSON body, and the id of the request that first got it."""

    status: int
    body: Json
    request_id: str
    replayed: bool = False


def fingerprint(method: str, path: str, params: Json) -> str:
    """Return what must be identical for a key to be used again."""
    return hashlib.sha256(json.dumps([method, path, params], sort_keys=True).encode()).hexdigest()


def once(account: Account, key: str | None, mark: str, do: Callable[[], Json]) -> Reply:
    """Execute the request in one transaction, or repeat its first response; concurrent requests execute it
    once.
    """
    with account.store.alone:
        found = replay(account, key, mark) if key else None
        return found or _first(account, key, mark, do)


def _first(account: Account, key: str | None, mark: str, do: Callable[[], Json]) -> Reply:
    request_id = (account.request or {}).get("id", "")
    try:
        with account.store.transaction():
            reply = Reply(200, do(), request_id)
            if key:
                record(account, key, mark, reply)
    except StripeError as error:
        reply = Reply(error.status, error.answer(), request_id)
        if key:
            with account.store.transaction():
                record(account, key, mark, reply)
    return reply


def replay(account: Account, key: str, mark: str) -> Reply | None:
    """Return the first response for this key. Raises IdempotencyError if the request was different."""
    found = account.store.rows(
        "SELECT request, status, body, request_id FROM idempotency WHERE mode = ? AND key = ? AND created > ?",
        account.mode,
        key,
        int(time.time()) - KEPT,
    )
    if not found:
        return None
    request, status, body, request_id = found[0]
    if request != mark:
        words = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise IdempotencyError(words)
    return Reply(status, json.loads(body), request_id, replayed=True)


def record(account: Account, key: str, mark: str, reply: Reply) -> None:
    """Store a response for the next request with this key."""
    account.store.db.execute(
        "INSERT OR REPLACE INTO idempotency (mode, key, request, status, body, request_id, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (account.mode, key, mark, reply.status, json.dumps(reply.body), reply.request_id, int(time.time())),
    )
