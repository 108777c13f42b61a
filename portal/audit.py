"""The audit log's door: `record` writes an entry in the transaction of what it reports."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import g, has_request_context, request
from flask_login import current_user

from portal import clock
from portal.extensions import db, insert
from portal.models import AuditEntry

KEPT_OF_V4, KEPT_OF_V6 = 24, 48  # bits of an address that say where from, and not who


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
) -> None:
    """Write who did what, on whom, before and after. Flushes.

    `reason` is why a person did it, in their words; it is kept as a fact of `after`.

    `action` is a noun and what became of it ("subscription.canceled"), `subject` the object's id. Facts are ids,
    states and amounts, never names, addresses or secrets. With `key`, which names what is reported (an invoice, a
    period), the same thing is written once. Who acts is the signed-in user, the API key, the
    operator key, or as `acting_as` says.
    """
    actor, actor_id = _actor()
    if reason:
        after = {**(after or {}), "reason": reason}
    values = {
        "at": clock.now(),
        "action": action,
        "actor": actor,
        "actor_id": actor_id,
        "user_id": user_id,
        "customer_id": customer_id,
        "subject": subject,
        "before": before or {},
        "after": after or {},
        "network": network(request.remote_addr) if has_request_context() else "",
        "request_id": g.get("request_id", "") if has_request_context() else "",
        "event_id": g.get("audit_event"),
        "key": key,
    }
    statement = insert(AuditEntry).values(values)
    db.session.execute(statement.on_conflict_do_nothing(index_elements=["key"]) if key else statement)


@contextmanager
def acting_as(actor: str, event_id: str | None = None) -> Iterator[None]:
    """Whose doing everything inside is: "stripe" (the event of this id), "clock" (a chore), "command"."""
    before = g.get("audit_actor"), g.get("audit_event")
    g.audit_actor, g.audit_event = actor, event_id
    try:
        yield
    finally:
        g.audit_actor, g.audit_event = before


def network(address: str | None) -> str:
    """The network of an address, enough to tell a stranger from a colleague: `203.0.113.0/24`."""
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
