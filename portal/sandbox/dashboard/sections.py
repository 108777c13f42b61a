"""The dashboard's lists: for each, its objects and its columns."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.pricing.amounts import money
from portal.sandbox.tenants import LoggedRequest

Json = dict[str, Any]
Column = Callable[[Account, Json], str]


@dataclass(frozen=True)
class Section:
    """One list. A column whose heading is in `ids` holds an id, and becomes a link."""

    title: str
    kind: str
    columns: dict[str, Column]
    empty: str
    ids: tuple[str, ...] = ("Id", "Customer")


def moment(seconds: float) -> str:
    """Return a time as text, UTC."""
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%d %b %Y, %H:%M:%S}"


def field(name: str) -> Column:
    """Return a column that shows a field as it is."""
    return lambda account, value: str(value.get(name) or "")


def at(name: str) -> Column:
    """Return a column that shows a field's time."""
    return lambda account, value: moment(value[name])


def amount(name: str) -> Column:
    """Return a column that shows an amount in the object's currency."""
    return lambda account, value: money(value[name] or 0, value["currency"])


def prices(account: Account, subscription: Json) -> str:
    """Return what a subscription is for."""
    items = subscription["items"]["data"]
    return ", ".join(f"{item.get('quantity') or 1} × {item['price']['id']}" for item in items)


def period_end(account: Account, subscription: Json) -> str:
    """Return when the current period ends."""
    ends = [item["current_period_end"] for item in subscription["items"]["data"]]
    return moment(min(ends)) if ends else ""


def deliveries(account: Account, event: Json) -> str:
    """Return how an event's deliveries stand."""
    attempts = account.store.rows("SELECT count(*) FROM attempts WHERE event = ?", event["id"])[0][0]
    waiting = event["pending_webhooks"]
    return f"{attempts} sent" + (f", {waiting} waiting" if waiting else "")


SECTIONS = {
    "customers": Section(
        "Customers",
        "customer",
        {"Id": field("id"), "Email": field("email"), "Name": field("name"), "Created": at("created")},
        "No customer yet. Create one with POST /v1/customers.",
    ),
    "payments": Section(
        "Payments",
        "payment_intent",
        {
            "Id": field("id"),
            "Amount": amount("amount"),
            "Status": field("status"),
            "Customer": field("customer"),
            "Created": at("created"),
        },
        "No payment yet. A checkout or an invoice makes one.",
    ),
    "subscriptions": Section(
        "Subscriptions",
        "subscription",
        {
            "Id": field("id"),
            "Status": field("status"),
            "Customer": field("customer"),
            "Prices": prices,
            "Period ends": period_end,
        },
        "No subscription yet. Create one with a checkout, or POST /v1/subscriptions.",
    ),
    "invoices": Section(
        "Invoices",
        "invoice",
        {
            "Id": field("id"),
            "Number": field("number"),
            "Total": amount("total"),
            "Status": field("status"),
            "Customer": field("customer"),
            "Created": at("created"),
        },
        "No invoice yet. A subscription makes one for each period.",
    ),
    "events": Section(
        "Events",
        "event",
        {"Id": field("id"), "Type": field("type"), "Deliveries": deliveries, "Created": at("created")},
        "No event yet. Every change raises one.",
    ),
    "test-clocks": Section(
        "Test clocks",
        "test_helpers.test_clock",
        {"Id": field("id"), "Name": field("name"), "Time": at("frozen_time"), "Status": field("status")},
        "No test clock. Create one with POST /v1/test_helpers/test_clocks, in test mode.",
    ),
}
REQUESTS = ("Time", "Method", "Path", "Status", "Took", "Id", "Error")


def request_row(made: LoggedRequest) -> dict[str, str]:
    """Return a request to the API as a row, by heading."""
    took = f"{made.took:.0f} ms"
    texts = (moment(made.created), made.method, made.path, str(made.status), took, made.id, made.error)
    return dict(zip(REQUESTS, texts, strict=True))
