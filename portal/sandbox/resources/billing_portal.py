"""Billing portal: configurations and sessions."""

import copy
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.resources import portal_flows
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]
CONFIGURATION = "billing_portal.configuration"
FEATURES: Json = {
    "customer_update": {"allowed_updates": ["email", "name", "address", "tax_id"], "enabled": True},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": ["too_expensive", "unused", "other"]},
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": None,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
ABSENT: Json = {  # features that a new configuration doesn't name are disabled
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False},
    "subscription_cancel": {"enabled": False},
}


def new_configuration(account: Account, params: Json, features: Json, default: bool) -> Json:
    """Create a configuration with these features."""
    business = {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
    fields = {
        "active": True,
        "business_profile": business | given(params.get("business_profile") or {}),
        "default_return_url": params.get("default_return_url"),
        "features": features,
        "is_default": default,
        "login_page": {"enabled": False, "url": None} | given(params.get("login_page") or {}),
        "metadata": params.get("metadata") or {},
        "name": params.get("name"),
        "updated": account.now(),
    }
    return account.add(CONFIGURATION, fields, f"{CONFIGURATION}.created")


def combined(known: Json, asked: Json) -> Json:
    """Merge the given features into the known ones, including nested fields."""
    made = copy.deepcopy(known)
    for name, part in asked.items():
        inner = made.get(name)
        if isinstance(inner, dict) and isinstance(part, dict):
            made[name] = combined(inner, part)
        else:
            made[name] = [] if part is None and isinstance(inner, list) else part
    return made


def with_quantities(features: Json) -> Json:
    """Return the products of a plan change in the response's format."""
    fixed = {"enabled": False, "maximum": None, "minimum": 1}
    products = features["subscription_update"]["products"]
    for product in products or []:
        product["adjustable_quantity"] = fixed | (product.get("adjustable_quantity") or {})
    return features


def default_configuration(account: Account) -> Json:
    """Return the configuration for sessions that name none; it is created when first needed."""
    known = account.store.select(account.mode, CONFIGURATION, "json_extract(json, '$.is_default')", limit=1)
    return known[0] if known else new_configuration(account, {}, FEATURES, default=True)


@operation("POST", "/v1/billing_portal/configurations")
def create(account: Account, params: Json) -> Json:
    default_configuration(account)
    params = given(params)
    asked: Json = params["features"]
    features = combined(combined(FEATURES, ABSENT), asked)
    return new_configuration(account, params, with_quantities(features), default=False)


@operation("GET", "/v1/billing_portal/configurations/{configuration}")
def retrieve(account: Account, params: Json, configuration: str) -> Json:
    return account.find(CONFIGURATION, configuration)


@operation("POST", "/v1/billing_portal/configurations/{configuration}")
def update(account: Account, params: Json, configuration: str) -> Json:
    found = account.find(CONFIGURATION, configuration)
    changes = changed(
        found, {n: params[n] for n in ("active", "default_return_url", "metadata", "name") if n in params}
    )
    for name in ("business_profile", "features", "login_page"):
        if params.get(name):
            changes[name] = combined(found[name], params[name])
    if "features" in changes:
        with_quantities(changes["features"])
    changes["updated"] = account.now()
    return account.change(found, changes, f"{CONFIGURATION}.updated")


@operation("GET", "/v1/billing_portal/configurations")
def index(account: Account, params: Json) -> Json:
    default_configuration(account)
    filters = {"$.active": params.get("active"), "$.is_default": params.get("is_default")}
    return lists.page(account, CONFIGURATION, params, "/v1/billing_portal/configurations", filters)


@operation("POST", "/v1/billing_portal/sessions")
def create_session(account: Account, params: Json) -> Json:
    params = given(params)
    if "customer" not in params:
        raise missing_parameter("customer")
    account.find("customer", params["customer"], "customer")
    if params.get("configuration"):
        configuration = account.find(CONFIGURATION, params["configuration"], "configuration")
    else:
        configuration = default_configuration(account)
    id_ = account.new_id("billing_portal.session")
    fields = {
        "id": id_,
        "configuration": configuration["id"],
        "customer": params["customer"],
        "flow": portal_flows.begin(
            account, params["customer"], configuration["features"], params.get("flow_data")
        ),
        "locale": params.get("locale"),
        "return_url": params.get("return_url") or configuration["default_return_url"],
        "url": f"{account.config.pages}/b/session/{id_}",
    }
    return account.add("billing_portal.session", fields, "billing_portal.session.created")
