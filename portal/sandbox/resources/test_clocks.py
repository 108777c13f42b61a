"""Test clocks: customers whose time is advanced on request."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.domain import timers
from portal.sandbox.domain.pricing import periods
from portal.sandbox.domain.subscriptions import cancellation
from portal.sandbox.resources.common import given
from portal.sandbox.resources.customers import RUNNING

Json = dict[str, Any]
KIND = "test_helpers.test_clock"
DAY = 24 * 60 * 60


@operation("POST", "/v1/test_helpers/test_clocks")
def create(account: Account, params: Json) -> Json:
    if account.mode == "live":
        raise StripeError("Test clocks exist in test mode only.")
    deletes = {"deletes_after": account.now() + 30 * DAY, "status": "ready", "status_details": {}}
    return account.add(KIND, deletes | given(params), f"{KIND}.created")


@operation("GET", "/v1/test_helpers/test_clocks/{test_clock}")
def retrieve(account: Account, params: Json, test_clock: str) -> Json:
    return account.find(KIND, test_clock)


@operation("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance")
def advance(account: Account, params: Json, test_clock: str) -> Json:
    clock = account.find(KIND, test_clock)
    check(account, clock, params["frozen_time"])
    advancing = clock | {"status": "advancing", "frozen_time": params["frozen_time"]}
    advancing["status_details"] = {"advancing": {"target_frozen_time": params["frozen_time"]}}
    account.emit(f"{KIND}.advancing", advancing)
    account.emit(f"{KIND}.ready", timers.advance(account, clock, params["frozen_time"]))
    return advancing


def check(account: Account, clock: Json, to: int) -> None:
    """Check that time only moves forward, and not too far at once. Raises StripeError."""
    if to <= clock["frozen_time"]:
        raise StripeError("A test clock can only be advanced to a later time.", param="frozen_time")
    running = [s for customer in owners(account, clock) for s in subscriptions(account, customer)]
    terms = [item["price"]["recurring"] for s in running for item in s["items"]["data"]]
    furthest = [periods.boundary(clock["frozen_time"], term, 2) for term in terms]
    if to > min(furthest, default=clock["frozen_time"] + 2 * 366 * DAY):
        words = "A test clock can be advanced by at most two intervals of the shortest subscription on it."
        raise StripeError(words, param="frozen_time")


def owners(account: Account, clock: Json) -> list[Json]:
    """Return the customers on a clock."""
    return account.store.select(account.mode, "customer", "json_extract(json, '$.test_clock') = ?", clock["id"])


def subscriptions(account: Account, customer: Json) -> list[Json]:
    """Return a customer's subscriptions that haven't ended."""
    return account.store.select(account.mode, "subscription", RUNNING, customer["id"])


@operation("DELETE", "/v1/test_helpers/test_clocks/{test_clock}")
def delete(account: Account, params: Json, test_clock: str) -> Json:
    clock = account.find(KIND, test_clock)
    for customer in owners(account, clock):
        for subscription in subscriptions(account, customer):
            cancellation.end(account, subscription)
        account.change(customer, {"deleted": True})
    account.store.db.execute("DELETE FROM clock_timers WHERE clock = ?", (test_clock,))
    account.emit(f"{KIND}.deleted", clock)
    account.store.remove(account.mode, test_clock)
    return {"id": test_clock, "object": KIND, "deleted": True}


@operation("GET", "/v1/test_helpers/test_clocks")
def index(account: Account, params: Json) -> Json:
    return lists.page(account, KIND, params, "/v1/test_helpers/test_clocks")
