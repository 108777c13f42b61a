"""Subscription schedules."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.pricing import taxes
from portal.sandbox.domain.subscriptions import cancellation
from portal.sandbox.domain.subscriptions.schedules import lifecycle, phases, transitions
from portal.sandbox.domain.subscriptions.schedules.lifecycle import KIND
from portal.sandbox.resources import schedule_phases
from portal.sandbox.resources.common import changed, given
from portal.sandbox.resources.subscriptions import require_own

Json = dict[str, Any]
ALONE = {"billing_mode", "customer", "default_settings", "end_behavior", "phases", "start_date"}
# What the current phase changes of its subscription when a schedule is updated.
COMPARED = ("items", "discounts", "metadata", "description", "default_tax_rates", "trial_end", "_")
TERMS = ("billing_thresholds", "collection_method", "default_payment_method", "invoice_settings")
SPANS = ("canceled_at", "completed_at", "released_at")


@operation("POST", "/v1/subscription_schedules")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    if "from_subscription" not in params:
        return create_alone(account, params)
    if params.keys() & ALONE:
        words = "You cannot set any other parameters when using `from_subscription`."
        raise StripeError(words, param="from_subscription")
    subscription = account.find("subscription", params["from_subscription"], "from_subscription")
    return lifecycle.take_over(account, subscription, params.get("metadata") or {})


def create_alone(account: Account, params: Json) -> Json:
    """Create a schedule without a subscription, which begins now or later. Raises StripeError."""
    for name in ("customer", "phases"):
        if name not in params:
            raise missing_parameter(name)
    customer = account.find("customer", params["customer"], "customer")
    asked = params.get("start_date", "now")
    start = account.now() if asked == "now" else int(asked)
    if start < account.now():
        raise StripeError("The sandbox does not support a start_date in the past yet", param="start_date")
    fields: Json = {name: params[name] for name in ("end_behavior", "metadata") if name in params}
    fields["default_settings"] = settings(account, customer, params.get("default_settings") or {}, None)
    fields["phases"] = schedule_phases.read(account, customer, params["phases"], start, None)
    schedule = lifecycle.create(account, customer, fields)
    return transitions.start(account, schedule) if start == account.now() else schedule


def settings(account: Account, customer: Json, asked: Json, before: Json | None) -> Json:
    """Return default_settings after a call. Raises StripeError."""
    require_own(account, asked, customer["id"], "default_settings")
    wanted = dict(asked)
    if wanted.get("automatic_tax"):
        wanted["automatic_tax"] = taxes.free(wanted["automatic_tax"])
    if before is None:
        return lifecycle.settings(account, wanted)
    invoices = before["invoice_settings"] | (wanted.get("invoice_settings") or {})
    return before | wanted | {"invoice_settings": invoices}


@operation("GET", "/v1/subscription_schedules/{schedule}")
def retrieve(account: Account, params: Json, schedule: str) -> Json:
    return account.find(KIND, schedule)


@operation("POST", "/v1/subscription_schedules/{schedule}")
def update(account: Account, params: Json, schedule: str) -> Json:
    return change(account, account.find(KIND, schedule), params)


def change(account: Account, found: Json, params: Json) -> Json:
    """Change a schedule, and its subscription if the current phase is another now. Raises StripeError."""
    lifecycle.require_running(found)
    customer = account.find("customer", found["customer"])
    changes = changed(found, {name: params[name] for name in ("end_behavior", "metadata") if params.get(name)})
    if params.get("default_settings"):
        changes["default_settings"] = settings(
            account, customer, params["default_settings"], found["default_settings"]
        )
    if params.get("phases"):
        first = found["phases"][0]
        start = first["start_date"] if found["status"] == "not_started" else None
        changes["phases"] = schedule_phases.read(account, customer, params["phases"], start, first["currency"])
    if found["status"] == "not_started":
        return lifecycle.write(account, found, changes)
    before, defaults = phases.current(found), found["default_settings"]
    written = lifecycle.write(account, found, changes)
    phase = phases.current(written)
    if any(phase.get(name) != before.get(name) for name in (*COMPARED, *TERMS)):
        behavior = params.get("proration_behavior") or phase["proration_behavior"]
        transitions.enter(account, written, phase | {"add_invoice_items": [], "proration_behavior": behavior})
    elif written["default_settings"] != defaults:
        subscription = account.find("subscription", written["subscription"])
        account.change(subscription, phases.terms(written, phase), "customer.subscription.updated")
    transitions.mark_end(account, written)
    return written


@operation("POST", "/v1/subscription_schedules/{schedule}/release")
def release(account: Account, params: Json, schedule: str) -> Json:
    return lifecycle.release(account, account.find(KIND, schedule), bool(params.get("preserve_cancel_date")))


@operation("POST", "/v1/subscription_schedules/{schedule}/cancel")
def cancel(account: Account, params: Json, schedule: str) -> Json:
    found = account.find(KIND, schedule)
    lifecycle.require_running(found)
    if found["status"] == "not_started":
        return lifecycle.cancel(account, found)
    subscription = account.find("subscription", found["subscription"])
    prorate, bill = params.get("prorate") is not False, params.get("invoice_now") is not False
    cancellation.cancel(account, subscription, prorate, bill, {})
    return account.find(KIND, schedule)


@operation("GET", "/v1/subscription_schedules")
def index(account: Account, params: Json) -> Json:
    filters = {"$.customer": params.get("customer")}
    only = "json_extract(json, '$.status') = 'not_started'" if params.get("scheduled") else "1"
    spans = {f"$.{name}": params.get(name) for name in SPANS}
    return lists.page(account, KIND, params, "/v1/subscription_schedules", filters, only=only, spans=spans)
