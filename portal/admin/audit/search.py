"""Reading the audit log: pages, a CSV of all entries, and the names for its ids."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, CompoundSelect, Select, func, select, union

from portal.credits.history.csv_export import plain
from portal.customers import owners
from portal.enums import Mode
from portal.extensions import db
from portal.models import AuditEntry, Customer, User
from portal.web.pages import rfc3339

PAGE = 50
BATCH = 500  # entries fetched together for a download
COLUMNS = ("at", "action", "actor", "actor_id", "user_id", "customer_id", "subject")


@dataclass(frozen=True)
class Filter:
    """The filter; empty fields match all. `by` and `about` are email addresses, `action` a word or its
    beginning.
    """

    action: str = ""
    actor: str = ""
    by: str = ""
    about: str = ""
    since: datetime | None = None
    until: datetime | None = None


def page(wanted: Filter, before: int | None = None, size: int = PAGE) -> tuple[list[AuditEntry], int | None]:
    """Return the newest matching entries below the id `before`, and the last one's id if there are more."""
    query = select(AuditEntry).where(*_conditions(wanted))
    if before is not None:
        query = query.where(AuditEntry.id < before)
    found = list(db.session.execute(query.order_by(AuditEntry.id.desc()).limit(size + 1)).scalars())
    return found[:size], found[size - 1].id if len(found) > size else None


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    entry = AuditEntry
    if wanted.action:
        yield (
            entry.action == wanted.action
            if "." in wanted.action
            else entry.action.startswith(f"{wanted.action}.", autoescape=True)
        )
    if wanted.actor:
        yield entry.actor == wanted.actor
    if wanted.by:
        yield (entry.actor == "user") & entry.actor_id.in_(_users(wanted.by))
    if wanted.about:
        yield entry.id.in_(_about(_users(wanted.about)))
    # Ids follow the order of time, so a time limit becomes an id limit, along the list's own order.
    if wanted.since:
        yield entry.id >= _first(wanted.since)
    if wanted.until:
        yield entry.id < _first(wanted.until)


def _about(users: Select[int]) -> CompoundSelect[int]:
    """Select the entries about a user with one query per index: with OR, PostgreSQL scans the whole log."""
    customers = select(Customer.id).where(Customer.user_id.in_(users))
    bought = select(AuditEntry.id).where(AuditEntry.customer_id.in_(customers))
    return union(bought, select(AuditEntry.id).where(AuditEntry.user_id.in_(users)))


def _users(mail: str) -> Select[int]:
    """Select the account of an address, and the unclaimed users who wait for it."""
    return select(User.id).where(User.email == owners.normalized(mail))


def _first(moment: datetime) -> ColumnElement[int]:
    later = select(AuditEntry.id).where(AuditEntry.at >= moment).order_by(AuditEntry.at, AuditEntry.id)
    newest = select(func.max(AuditEntry.id) + 1).scalar_subquery()
    return func.coalesce(later.limit(1).scalar_subquery(), newest)


@dataclass(frozen=True)
class Names:
    """The names for ids: users by id, and customers by id with their mode."""

    users: dict[int, str]
    customers: dict[int, tuple[int, str, Mode]]  # user id, email, mode

    def actor(self, entry: AuditEntry) -> str:
        """Return who did it."""
        if entry.actor == "user":
            return self.users.get(entry.actor_id or 0, "Somebody signed out")
        words = {"key": f"API key {entry.actor_id}", "operator": f"Operator key {entry.actor_id}"}
        command = f"Command line ({entry.after['os_user']})" if "os_user" in entry.after else "Command line"
        return (words | {"stripe": "Stripe", "clock": "Time"}).get(entry.actor, command)

    def about(self, entry: AuditEntry) -> str:
        """Return whom it was about."""
        if entry.customer_id in self.customers:
            return self.customers[entry.customer_id][1]
        return self.users.get(entry.user_id or 0, "")

    def page_of(self, entry: AuditEntry) -> int | None:
        """Return the user whose page has more details."""
        if entry.customer_id in self.customers:
            return self.customers[entry.customer_id][0]
        return entry.user_id if entry.user_id in self.users else None


def names(entries: Iterable[AuditEntry]) -> Names:
    """Return the email addresses for the ids in these entries. Runs two queries, for any number of entries."""
    shown = list(entries)
    asked = {one.customer_id for one in shown if one.customer_id}
    query = select(Customer.id, User.id, User.email, Customer.mode).join(User, User.id == Customer.user_id)
    customers = {
        row[0]: (row[1], row[2], row[3]) for row in db.session.execute(query.where(Customer.id.in_(asked)))
    }
    ids = {one.user_id for one in shown if one.user_id} | {one.actor_id for one in shown if one.actor == "user"}
    users = db.session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return Names({row[0]: row[1] for row in users}, customers)


def csv_lines(wanted: Filter) -> Iterator[str]:
    """Yield every matching entry as CSV, newest first. No transaction stays open between two batches."""
    yield _line([*COLUMNS, "before", "after", "network", "request_id", "event_id"])
    before: int | None = None
    while True:
        db.session.commit()
        db.session.connection(execution_options={"sqlite_begin": "DEFERRED"})  # read-only
        entries, before = page(wanted, before, BATCH)
        db.session.commit()
        yield "".join(_line(_cells(entry)) for entry in entries)
        if before is None:
            return


def _cells(entry: AuditEntry) -> list[object]:
    return [
        rfc3339(entry.at),
        plain(entry.action),
        entry.actor,
        entry.actor_id,
        entry.user_id,
        entry.customer_id,
        plain(entry.subject),
        plain(orjson.dumps(entry.before).decode()),
        plain(orjson.dumps(entry.after).decode()),
        plain(entry.network),
        plain(entry.request_id),
        plain(entry.event_id),
    ]


def _line(cells: list[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
