"""Subscriptions and their items."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.payments import payment_methods
from portal.sandbox.domain.pricing import discounts, taxes
from portal.sandbox.domain.subscriptions import cancellation, creation, pauses, renewals, updates
from portal.sandbox.resources.common import changed, given
from portal.sandbox.resources.prices import new_price

Json = dict[str, Any]
DAY = 24 * 60 * 60
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
    if any(item["price"]["recurring"] is None for item in items):
        words = "The price specified is set to `type=one_time` but this field only accepts prices with "
        words += "`type=recurring`."
        raise StripeError(words, param="items[0][price]")
    fields = fields_of(account, params)
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
    """What the parameters of a new subscription say about its fields."""
    fields = {name: params[name] for name in AS_GIVEN if name in params}
    require_own(account, params, params["customer"])
    days, ends = params.get("trial_period_days"), params.get("trial_end")
    if days:
        fields["trial_end"] = account.now() + days * DAY
    elif ends and ends != "now":
        fields["trial_end"] = int(ends)
    if params.get("trial_settings"):
        fields["trial_settings"] = params["trial_settings"]
    fields["discounts"] = params.get("discounts") or []
    fields["automatic_tax"] = {"disabled_reason": None} | taxes.free(params.get("automatic_tax"))
    return fields | {"_": {"behavior": params.get("payment_behavior")}}


def require_own(account: Account, params: Json, customer: str) -> None:
    """The default payment method must be the customer's. Raises StripeError."""
    if params.get("default_payment_method"):
        method = account.find("payment_method", params["default_payment_method"], "default_payment_method")
        payment_methods.require_usable(method, customer, "default_payment_method")


def require_method(account: Account, customer: Json, params: Json, fields: Json) -> None:
    """Stripe refuses to charge a customer who has nothing to charge. Raises StripeError."""
    waits = params.get("payment_behavior") == "default_incomplete" or fields.get("trial_end")
    invoiced = params.get("collection_method") == "send_invoice"
    own = fields.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
    if not (waits or invoiced or own):
        words = "This customer has no attached payment source or default payment method. "
        words += "Please consider adding a default payment method."
        raise StripeError(words, code="resource_missing")


def priced(account: Account, item: Json, at: str) -> Json:
    """An item with its price; a price that is described is made. Raises StripeError."""
    item = given(item)
    if item.get("discounts"):
        raise StripeError("The sandbox doesn't support discounts of single items.", param=f"{at}[discounts]")
    if item.get("price_data"):
        return item | {"price": new_price(account, given(item["price_data"]))}
    if not item.get("price"):
        raise missing_parameter(f"{at}[price]")
    price = account.find("price", item["price"], f"{at}[price]")
    if not price["active"]:
        raise StripeError(
            "The price specified is inactive. This field only accepts active prices.", param=f"{at}[price]"
        )
    return item | {"price": price}


@operation("GET", "/v1/subscriptions/{subscription_exposed_id}")
def retrieve(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    return account.find("subscription", subscription_exposed_id)


@operation("POST", "/v1/subscriptions/{subscription_exposed_id}")
def update(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    subscription = account.find("subscription", subscription_exposed_id)
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    if params.get("trial_end") not in (None, "now"):
        raise StripeError("The sandbox ends trials, but doesn't move their end.", param="trial_end")
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
    if params.get("automatic_tax"):
        if params["automatic_tax"].get("enabled"):
            taxes.require_location(account.find("customer", subscription["customer"]))
        changes["automatic_tax"] = {"disabled_reason": None} | taxes.free(params["automatic_tax"])
    if params.get("cancellation_details"):
        before = changes.get("cancellation_details", subscription["cancellation_details"])
        changes["cancellation_details"] = before | params["cancellation_details"]
    kept = changes["discounts"] if "discounts" in params else subscription["discounts"]
    for discount in set(subscription["discounts"]) - set(kept):
        account.emit("customer.discount.deleted", account.find("discount", discount))
    items = [update_item(account, item, f"items[{n}]") for n, item in enumerate(params.get("items") or [])]
    after = updates.change(account, subscription, items, changes, params)
    if after["status"] == "trialing" and after["trial_end"] <= account.now():
        return cancellation.end(account, after, "payment_failed")  # its settings say so where there is no card
    return after


def update_item(account: Account, item: Json, at: str) -> Json:
    """A change to an item: the price is found or made only if one is named."""
    return priced(account, item, at) if item.get("price") or item.get("price_data") else given(item)


@operation("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def cancel(account: Account, params: Json, subscription_exposed_id: str) -> Json:
    subscription = account.find("subscription", subscription_exposed_id)
    details = given(params.get("cancellation_details") or {})
    now = bool(params.get("prorate")), bool(params.get("invoice_now"))
    return cancellation.cancel(account, subscription, *now, details)


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


@operation("GET", "/v1/subscription_items")
def items(account: Account, params: Json) -> Json:
    subscription = account.find("subscription", params["subscription"], "subscription")
    return lists.slice_of(subscription["items"]["data"], params, "/v1/subscription_items")


@operation("GET", "/v1/subscription_items/{item}")
def item(account: Account, params: Json, item: str) -> Json:
    return updates.item_of(account, item)[1]


@operation("POST", "/v1/subscription_items")
def add_item(account: Account, params: Json) -> Json:
    subscription = account.find("subscription", params["subscription"], "subscription")
    known = {item["id"] for item in subscription["items"]["data"]}
    after = updates.change(account, subscription, [priced(account, params, "")], {}, params)
    return next(item for item in after["items"]["data"] if item["id"] not in known)


@operation("POST", "/v1/subscription_items/{item}")
def change_item(account: Account, params: Json, item: str) -> Json:
    subscription, _ = updates.item_of(account, item)
    updates.change(account, subscription, [update_item(account, params | {"id": item}, "")], {}, params)
    return updates.item_of(account, item)[1]


@operation("DELETE", "/v1/subscription_items/{item}")
def delete_item(account: Account, params: Json, item: str) -> Json:
    subscription, _ = updates.item_of(account, item)
    if len(subscription["items"]["data"]) == 1:
        raise StripeError("A subscription must have at least one active item.")
    updates.change(account, subscription, [{"id": item, "deleted": True}], {}, params)
    return {"id": item, "object": "subscription_item", "deleted": True}
