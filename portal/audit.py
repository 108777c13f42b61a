"""The audit log: `record` writes an entry in the transaction of the change that it reports."""

import ipaddress
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import g, has_request_context, request
from flask_login import current_user

from portal import clock
from portal.extensions import db, insert
from portal.models import AuditEntry

KEPT_OF_V4, KEPT_OF_V6 = 24, 48  # bits of an address that reveal the network, but not the person


def record(
    action: str,
    *,
    customer_id: int | None = None,
    user_id: int | None = None,
    subject: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    key: str | None = None,
    reason: str = "",
) -> bool:
    """Write who did what to whom, with values before and after, and return whether it was written. Flushes.

    `action` is a noun and what happened to it ("subscription.canceled"), `subject` the object's id. Facts are ids,
    states and amounts, never names, addresses or secrets. `reason` is a person's own explanation, stored in
    `after`; the default is that of `because`. With `key`, which identifies what is reported (an invoice, a
    period), the same thing is written once. The actor is the signed-in user, the API key, the operator key, or
    that of `acting_as`.
    """
    actor, actor_id = _actor()
    values = {
        "at": clock.now(),
        "action": action,
        "actor": actor,
        "actor_id": actor_id,
        "user_id": user_id,
        "customer_id": customer_id,
        "subject": subject,
        "before": before or {},
        "after": (after or {}) | _explained(actor, reason),
        **_request(),
        "event_id": g.get("audit_event"),
        "key": key,
    }
    statement = insert(AuditEntry).values(values)
    once = statement.on_conflict_do_nothing(index_elements=["key"]) if key else statement
    return db.session.execute(once.returning(AuditEntry.id)).scalar_one_or_none() is not None


def _request() -> dict[str, str]:
    """Return the network and the id of the HTTP request, if there is one."""
    if not has_request_context():
        return {"network": "", "request_id": ""}
    return {"network": network(request.remote_addr), "request_id": g.get("request_id", "")}


def _explained(actor: str, reason: str) -> dict[str, str]:
    """Return the reason, and who runs a command, as facts of an entry."""
    facts = {"reason": reason or g.get("audit_reason", "")}
    facts["os_user"] = g.get("audit_os_user", "") if actor == "command" else ""
    return {name: words for name, words in facts.items() if words}


@contextmanager
def acting_as(actor: str, event_id: str | None = None) -> Iterator[None]:
    """Set the actor within the context: "stripe" (the event with this id), "clock" (a scheduled task),
    "command".
    """
    before = g.get("audit_actor"), g.get("audit_event")
    g.audit_actor, g.audit_event = actor, event_id
    try:
        yield
    finally:
        g.audit_actor, g.audit_event = before


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Add this reason to every entry written within the context, unless the entry has its own."""
    before = g.get("audit_reason", "")
    g.audit_reason = reason
    try:
        yield
    finally:
        g.audit_reason = before


@contextmanager
def by_command(reason: str) -> Iterator[None]:
    """Record everything within the context as done by this command, with the operating system account that runs
    it.
    """
    before = g.get("audit_os_user")
    g.audit_os_user = _os_user()
    try:
        with because(reason):
            yield
    finally:
        g.audit_os_user = before


def _os_user() -> str:
    """Return the account that runs this process; with sudo, the one that called it. `uid 1000` if it has no
    name.
    """
    if called_by := os.environ.get("SUDO_USER"):
        return called_by
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def network(address: str | None) -> str:
    """Return the network of an address, enough to recognize unusual places: `203.0.113.0/24`."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    kept = KEPT_OF_V4 if parsed.version == 4 else KEPT_OF_V6
    return str(ipaddress.ip_network(f"{parsed}/{kept}", strict=False))


def _actor() -> tuple[str, int | None]:
    if named := g.get("audit_actor"):
        return named, None
    if not has_request_context():
        return "command", None
    if operator := g.get("operator"):
        return "operator", operator.key_id
    if caller := g.get("caller"):
        return ("key", caller.key_id) if caller.key_id else ("user", caller.user_id)
    if current_user.is_authenticated:
        return "user", current_user.id
    return "user", None
