"""Subscriptions."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import join, missing_parameter
from portal.sandbox.domain.invoices import invoice_items
from portal.sandbox.domain.payments import payment_methods
from portal.sandbox.domain.pricing import currencies, discounts, periods, tax_rates, taxes
from portal.sandbox.domain.subscriptions import (
    cancellation,
    collection,
    creation,
    pauses,
    renewals,
    thresholds,
    updates,
)
from portal.sandbox.resources.common import changed, given, require_future
from portal.sandbox.resources.subscription_items import priced, update_item

Json = dict[str, Any]
DAY = 24 * 60 * 60
DATES = ("trial_end", "cancel_at", "billing_cycle_anchor")
AS_GIVEN = (
    "cancel_at",
    "collection_method",
    "days_until_due",
    "default_payment_method",
    "description",
    "metadata",
)


@operation("POST", "/v1/subscriptions")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = account.find("customer", params["customer"], "customer")
    if not params.get("items"):
        raise missing_parameter("items")
    items = [priced(account, item, f"items[{n}]") for n, item in enumerate(params["items"])]
    require_recurring(items)
    fields = fields_of(account, params)
    fields |= anchor_of(account, items, params, fields)
    fields["add_invoice_items"] = extras(account, params)
    currency = currencies.chosen([item["price"] for item in items], params.get("currency"), customer)
    fields["billing_thresholds"] = thresholds.require_valid(params.get("billing_thresholds"), items, currency)
    require_method(account, customer, params, fields)
    if fields["automatic_tax"]["enabled"]:
        taxes.require_location(customer)
    started = creation.start(account, customer, items, fields, bool(params.get("off_session")))
    if params.get("payment_behavior") == "error_if_incomplete" and started["status"] == "incomplete":
        raise updates.undone()
    if params.get("cancel_at_period_end"):
        changes = cancellation.scheduled(account, started, True, None)
        account.change(started, changes, "customer.subscription.updated")
    return started


def fields_of(account: Account, params: Json) -> Json:
    """Return a new subscription's fields from its parameters."""
    fields = {name: params[name] for name in AS_GIVEN if name in params}
    require_own(account, params, params["customer"])
    require_future(account, params, *DATES)
    days, ends = params.get("trial_period_days"), params.get("trial_end")
    if days:
        fields["trial_end"] = account.now() + days * DAY
    elif ends and ends != "now":
        fields["trial_end"] = int(ends)
    if params.get("trial_settings"):
        fields["trial_settings"] = params["trial_settings"]
    fields |= settings_of(creation.INVOICE_SETTINGS, creation.PAYMENT_SETTINGS, params)
    fields["discounts"] = params.get("discounts") or []
    fields |= {name: params[name] for name in ("currency",) if name in params}
    fields["automatic_tax"] = {"disabled_reason": None} | taxes.free(params.get("automatic_tax"))
    fields["default_tax_rates"] = tax_rates.named(account, params.get("default_tax_rates"), "default_tax_rates")
    return fields | {"_": {"behavior": params.get("payment_behavior")}}


def settings_of(invoices: Json, payments: Json, params: Json) -> Json:
    """Return the settings for a subscription's invoices and payments, changed by its parameters."""
    both = {"invoice_settings": invoices, "payment_settings": payments}
    return {name: before | params[name] for name, before in both.items() if params.get(name)}


def anchor_of(account: Account, items: list[Json], params: Json, fields: Json) -> Json:
    """Return a new subscription's fields from billing_cycle_anchor or its config. Raises StripeError.

    https://docs.stripe.com/billing/subscriptions/billing-cycle
    """
    config, anchor = params.get("billing_cycle_anchor_config"), params.get("billing_cycle_anchor")
    if config and anchor:
        words = "You may only specify one of `billing_cycle_anchor` and `billing_cycle_anchor_config`."
        raise StripeError(words, param="billing_cycle_anchor_config")
    if not config and not anchor:
        return {}
    after = fields.get("trial_end") or account.now()
    moment = periods.configured(config, after) if config else int(anchor or 0)
    natural = min(periods.boundary(after, item["price"]["recurring"], 1) for item in items)
    if moment > natural:
        words = f"`billing_cycle_anchor` cannot be later than next natural billing date ({natural}) for plan."
        raise StripeError(words, param="billing_cycle_anchor")
    names = ("day_of_month", "hour", "minute", "month", "second")
    shown = {name: config.get(name) for name in names} if config else None
    free = params.get("proration_behavior") == "none"
    if free and fields.get("trial_end"):
        words = "The sandbox does not support a trial with an anchor and proration_behavior=none yet"
        raise StripeError(words, param="proration_behavior")
    return {"billing_cycle_anchor": moment, "billing_cycle_anchor_config": shown, "free_until_anchor": free}


def require_recurring(items: list[Json], at: str = "items") -> None:
    """Raise StripeError for an item with a one-time price."""
    for number, item in enumerate(items):
        if item["price"]["recurring"] is None:
            words = "The price specified is set to `type=one_time` but this field only accepts prices with "
            raise StripeError(f"{words}`type=recurring`.", param=f"{at}[{number}][price]")


def extras(account: Account, params: Json, at: str = "") -> list[Json]:
    """Return add_invoice_items with their prices, which are charged once. Raises StripeError."""
    at = join(at, "add_invoice_items")
    found = [priced(account, item, f"{at}[{n}]") for n, item in enumerate(params.get("add_invoice_items") or [])]
    for number, item in enumerate(found):
        if item["price"]["recurring"]:
            words = "The price specified is set to `type=recurring` but this field only accepts prices with "
            raise StripeError(f"{words}`type=one_time`.", param=f"{at}[{number}][price]")
    return found


def require_own(account: Account, params: Json, customer: str, at: str = "") -> None:
    """Check that the default payment method belongs to the customer. Raises StripeError."""
    if params.get("default_payment_method"):
        param = join(at, "default_payment_method")
        method = account.find("payment_method", params["default_payment_method"], param)
        payment_methods.require_usable(method, customer, param)


def require_method(account: Account, customer: Json, params: Json, fields: Json) -> None:
    """Raise StripeError for a customer without a payment method, whom Stripe refuses to charge."""
    waits = params.get("payment_behavior") == "default_incomplete" or fields.get("trial_end")
    invoiced = params.get("collection_method") == "send_invoice"
    own = fields.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
    if not (waits or invoiced or own):
        words = "This customer has no attached payment source or default payment method. "
        words += "Please consider adding a default payment method."
        raise StripeError(words, code="resource_missing")


@operation("GET", "/v1/subscriptions/{subscription_exposed_id}")
def retrieve(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    return account.find("subscription", subscription_exposed_id)


@operation("POST", "/v1/subscriptions/{subscription_exposed_id}")
def update(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    subscription = account.find("subscription", subscription_exposed_id)
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    require_future(account, params, *DATES)
    changes = changes_of(account, subscription, params)
    kept = changes["discounts"] if "discounts" in params else subscription["discounts"]
    for discount in set(subscription["discounts"]) - set(kept):
        account.emit("customer.discount.deleted", account.find("discount", discount))
    customer = account.find("customer", subscription["customer"])
    for extra in extras(account, params):
        invoice_items.add_once(account, customer, subscription, extra)
    items = [update_item(account, item, f"items[{n}]") for n, item in enumerate(params.get("items") or [])]
    after = updates.change(account, subscription, items, changes, params)
    if after["status"] == "trialing" and after["trial_end"] <= account.now():
        return cancellation.end(account, after, "payment_failed")  # its settings say so if there is no card
    return after


def changes_of(account: Account, subscription: Json, params: Json) -> Json:
    """Return the subscription's changed fields from an update's parameters. Raises StripeError."""
    require_own(account, params, subscription["customer"])
    changes = changed(subscription, {name: params[name] for name in AS_GIVEN if name in params})
    if "cancel_at_period_end" in params or "cancel_at" in params:
        ends = params.get("cancel_at_period_end"), params.get("cancel_at")
        changes |= cancellation.scheduled(account, subscription, *ends)
    if "discounts" in params:
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        changes["discounts"] = discounts.redeem(
            account, params["discounts"] or [], owner, subscription["currency"]
        )
    if "pause_collection" in params:
        require_future(account, params["pause_collection"] or {}, "resumes_at", at="pause_collection")
        changes["pause_collection"] = collection.pause(account, subscription, params["pause_collection"])
    if "default_tax_rates" in params:
        rates = tax_rates.named(account, params["default_tax_rates"], "default_tax_rates")
        changes["default_tax_rates"] = rates
    if params.get("automatic_tax"):
        if params["automatic_tax"].get("enabled"):
            taxes.require_location(account.find("customer", subscription["customer"]))
        changes["automatic_tax"] = {"disabled_reason": None} | taxes.free(params["automatic_tax"])
    if "billing_thresholds" in params:
        items, currency = subscription["items"]["data"], subscription["currency"]
        changes["billing_thresholds"] = thresholds.require_valid(params["billing_thresholds"], items, currency)
    changes |= settings_of(subscription["invoice_settings"], subscription["payment_settings"], params)
    if params.get("cancellation_details"):
        before = changes.get("cancellation_details", subscription["cancellation_details"])
        changes["cancellation_details"] = before | params["cancellation_details"]
    return changes


@operation("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def cancel(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    subscription = account.find("subscription", subscription_exposed_id)
    details = given(params.get("cancellation_details") or {})
    now = bool(params.get("prorate")), bool(params.get("invoice_now"))
    return cancellation.cancel(account, subscription, *now, details)


@operation("DELETE", "/v1/subscriptions/{subscription_exposed_id}/discount")
def delete_discount(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    """Delete the newest of a subscription's discounts, which Stripe returns as deleted."""
    found = account.find("subscription", subscription_exposed_id)
    if not found["discounts"]:
        words = f"No active discount for subscription: {found['id']}"
        raise StripeError(words, code="resource_missing", status=404)
    return discounts.take(account, account.find("discount", found["discounts"][-1]))


@operation("POST", "/v1/subscriptions/{subscription}/pause")
def pause(account: Account, params: Json, subscription: str) -> Json:
    found = account.find("subscription", subscription)
    if found["status"] not in ("active", "trialing"):
        raise StripeError(f"A subscription that is {found['status']} can't be paused.")
    return pauses.pause(account, found, "pause_requested")


@operation("POST", "/v1/subscriptions/{subscription}/resume")
def resume(account: Account, params: Json, subscription: str) -> Json:
    found = account.find("subscription", subscription)
    if found["status"] != "paused":
        raise StripeError("The subscription is not paused.")
    on_attempt = params.get("payment_behavior") == "resume_on_payment_attempt"
    return renewals.resume(account, found, params.get("billing_cycle_anchor") == "unchanged", on_attempt)


@operation("GET", "/v1/subscriptions")
def index(account: Account, params: Json) -> Json:
    status = params.get("status")
    filters = {"$.customer": params.get("customer"), "$.collection_method": params.get("collection_method")}
    filters["$.test_clock"] = params.get("test_clock")
    if status not in (None, "all", "ended"):
        filters["$.status"] = status
    running = ["incomplete", "trialing", "active", "past_due", "unpaid", "paused"]
    among = {"$.status": {None: running, "ended": ["canceled", "incomplete_expired"]}.get(status)}
    if params.get("price"):
        filters["$.items.data[0].price.id"] = params["price"]
    return lists.page(account, "subscription", params, "/v1/subscriptions", filters, among)
