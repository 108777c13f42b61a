"""Subscription schedules."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.pricing import discounts, periods
from portal.sandbox.domain.subscriptions import cancellation, renewals, schedules
from portal.sandbox.domain.subscriptions.schedules import KIND
from portal.sandbox.resources.common import changed, given
from portal.sandbox.resources.subscriptions import priced

Json = dict[str, Any]


@operation("POST", "/v1/subscription_schedules")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    if "from_subscription" not in params:
        raise missing_parameter("from_subscription")
    if params.keys() & {"phases", "end_behavior", "customer", "start_date"}:
        words = "You cannot set any other parameters when using `from_subscription`."
        raise StripeError(words, param="from_subscription")
    subscription = account.find("subscription", params["from_subscription"], "from_subscription")
    return schedules.take_over(account, subscription, params.get("metadata") or {})


@operation("GET", "/v1/subscription_schedules/{schedule}")
def retrieve(account: Account, params: Json, schedule: str) -> Json:
    return account.find(KIND, schedule)


@operation("POST", "/v1/subscription_schedules/{schedule}")
def update(account: Account, params: Json, schedule: str) -> Json:
    found = account.find(KIND, schedule)
    changes = changed(found, {name: params[name] for name in ("end_behavior", "metadata") if params.get(name)})
    if not params.get("phases"):
        return schedules.write(account, found, changes)
    changes["phases"] = phases(account, found, params["phases"])
    before = schedules.current(found)
    written = schedules.write(account, found, changes)
    phase = schedules.current(written)
    if any(phase[name] != before[name] for name in ("items", "discounts", "metadata", "description")):
        behavior = params.get("proration_behavior") or phase["proration_behavior"]
        subscription = account.find("subscription", found["subscription"])
        renewals.enter(account, subscription, phase | {"proration_behavior": behavior})
    return written


def phases(account: Account, schedule: Json, asked: list[Json]) -> list[Json]:
    """The phases as the schedule keeps them, one after the other. Raises StripeError."""
    made: list[Json] = []
    for number, wanted in enumerate(asked):
        at = f"phases[{number}]"
        start = account.now() if wanted.get("start_date") == "now" else wanted.get("start_date")
        if start is None and not made:
            words = "The subscription schedule update is missing at least one phase with a `start_date` to anchor "
            raise StripeError(words + "end dates to.", param=f"{at}[start_date]")
        made.append(phase(account, given(wanted), at, made[-1]["end_date"] if start is None else int(start)))
        if len(made) > 1 and made[-1]["start_date"] != made[-2]["end_date"]:
            raise StripeError("A phase must begin where the one before it ends.", param=f"{at}[start_date]")
    currency = schedule["phases"][0]["currency"]
    return [one | {"currency": currency} for one in made]


def phase(account: Account, wanted: Json, at: str, start: int) -> Json:
    """One phase; without an end it lasts one billing period. Raises StripeError."""
    items = []
    for number, item in enumerate(wanted["items"]):
        price = priced(account, item, f"{at}[items][{number}]")["price"]
        items.append(schedules.phase_item(price, item.get("quantity"), item.get("metadata")))
    end = wanted.get("end_date")
    if end == "now":
        end = account.now()
    elif end is None and wanted.get("duration"):
        end = periods.boundary(start, {"interval_count": 1} | given(wanted["duration"]), 1)
    elif end is None:
        end = schedules.default_end(account, start, items)
    if int(end) <= start:
        raise StripeError("A phase must end after it begins.", param=f"{at}[end_date]")
    wanted_discounts = wanted.get("discounts") or []
    kept: Json = {n: wanted[n] for n in ("description", "metadata", "proration_behavior") if n in wanted}
    kept["discounts"] = [asked(account, one, f"{at}[discounts][{n}]") for n, one in enumerate(wanted_discounts)]
    return schedules.PHASE | kept | {"start_date": start, "end_date": int(end), "items": items}


def asked(account: Account, discount: Json, at: str) -> Json:
    """A discount as a phase shows it. Raises StripeError for one that is not there or cannot be used."""
    named: Json = {"coupon": None, "discount": None, "promotion_code": None} | given(discount)
    if named["discount"]:
        account.find("discount", named["discount"], f"{at}[discount]")
    else:
        discounts.named(account, named, at)
    return named


@operation("POST", "/v1/subscription_schedules/{schedule}/release")
def release(account: Account, params: Json, schedule: str) -> Json:
    return schedules.release(account, account.find(KIND, schedule))


@operation("POST", "/v1/subscription_schedules/{schedule}/cancel")
def cancel(account: Account, params: Json, schedule: str) -> Json:
    found = account.find(KIND, schedule)
    schedules.require_running(found)
    subscription = account.find("subscription", found["subscription"])
    prorate, bill = params.get("prorate") is not False, params.get("invoice_now") is not False
    cancellation.cancel(account, subscription, prorate, bill, {})
    return account.find(KIND, schedule)


@operation("GET", "/v1/subscription_schedules")
def index(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer")}
    return lists.page(account, KIND, params, "/v1/subscription_schedules", filters)
