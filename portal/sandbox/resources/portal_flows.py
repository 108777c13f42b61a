"""Flows of the billing portal: a link to one action, and back."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.wire import missing_parameter

Json = dict[str, Any]
FEATURE = {"subscription_update_confirm": "subscription_update"}  # the others are named after their feature
OF_SUBSCRIPTION = ("subscription_cancel", "subscription_update_confirm")


def begin(account: Account, customer: str, features: Json, data: Json | None) -> Json | None:
    """Return the flow of flow_data, in the format of the session. Raises StripeError."""
    if not data:
        return None
    kind: str = data["type"]
    if kind not in (*OF_SUBSCRIPTION, "payment_method_update"):
        raise StripeError(f"The sandbox doesn't support the flow {kind}.", param="flow_data[type]")
    feature = FEATURE.get(kind, kind)
    if not features[feature]["enabled"]:
        words = f"You cannot use `{kind}` because the {feature} feature is disabled in your portal configuration."
        raise StripeError(words, param="flow_data[type]")
    if kind in OF_SUBSCRIPTION:
        check_subscription(account, customer, kind, data.get(kind) or {})
    if kind == "subscription_update_confirm":
        check_prices(account, features[feature], data[kind]["items"])
    return shown(data)


def check_subscription(account: Account, customer: str, kind: str, asked: Json) -> None:
    """Check that the flow's subscription belongs to the customer, is active, and is not about to end. Raises
    StripeError.
    """
    at = f"flow_data[{kind}][subscription]"
    if not asked.get("subscription"):
        raise missing_parameter(at)
    found = account.find("subscription", asked["subscription"], at)
    if found["customer"] != customer:
        raise StripeError("The subscription isn't this customer's.", param=at)
    if found["status"] in ("canceled", "incomplete_expired"):
        raise StripeError(f"The subscription `{found['id']}` is canceled.", param=at)
    if kind == "subscription_cancel" and found["cancel_at"]:
        words = f"The subscription `{found['id']}` is already set to be canceled at period end."
        raise StripeError(words, param=at)


def check_prices(account: Account, feature: Json, items: list[Json]) -> None:
    """Check that a change uses only prices of the configuration. Raises StripeError."""
    offered = {price for product in feature["products"] or [] for price in product["prices"]}
    for number, item in enumerate(items):
        at = f"flow_data[subscription_update_confirm][items][{number}][price]"
        if not item.get("price"):
            raise missing_parameter(at)
        if account.find("price", item["price"], at)["id"] not in offered:
            raise StripeError(f"The price `{item['price']}` isn't part of the configuration.", param=at)


def shown(data: Json) -> Json:
    """Return a flow in the format of the response."""
    parts = {name: data.get(name) for name in (*OF_SUBSCRIPTION, "subscription_update")}
    if parts["subscription_cancel"]:
        parts["subscription_cancel"] = {"retention": None} | parts["subscription_cancel"]
    if parts["subscription_update_confirm"]:
        confirm = parts["subscription_update_confirm"]
        items = [{"quantity": 1} | item for item in confirm["items"]]
        parts["subscription_update_confirm"] = {"discounts": None} | confirm | {"items": items}
    completion = {"hosted_confirmation": None, "redirect": None} | (
        data.get("after_completion") or {"type": "portal_homepage"}
    )
    return {"type": data["type"], "after_completion": completion} | parts
