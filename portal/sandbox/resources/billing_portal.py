"""Billing portal: configurations and sessions."""

from typing import Any

from portal.sandbox import lists
from portal.sandbox.account import Account
from portal.sandbox.api import operation
from portal.sandbox.resources.common import changed, given
from portal.sandbox.wire import missing_parameter

Json = dict[str, Any]
FEATURES: Json = {
    "customer_update": {"allowed_updates": ["email"], "enabled": True},
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
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def new_configuration(account: Account, params: Json, default: bool) -> Json:
    """A configuration; what isn't given is as in the default one."""
    features = {name: part | given(params.get("features", {}).get(name) or {}) for name, part in FEATURES.items()}
    business = {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
    fields = {
        "active": True,
        "business_profile": business | given(params.get("business_profile") or {}),
        "default_return_url": params.get("default_return_url"),
        "features": features,
        "is_default": default,
        "login_page": {"enabled": False, "url": None},
        "metadata": params.get("metadata") or {},
        "name": params.get("name"),
        "updated": account.now(),
    }
    return account.add("billing_portal.configuration", fields, "billing_portal.configuration.created")


def default_configuration(account: Account) -> Json:
    """The configuration that applies when a session names none; made when it is first needed."""
    known = account.store.select(
        account.mode, "billing_portal.configuration", "json_extract(json, '$.is_default')", limit=1
    )
    return known[0] if known else new_configuration(account, {}, default=True)


@operation("POST", "/v1/billing_portal/configurations")
def create(account: Account, params: Json) -> Json:
    default_configuration(account)
    return new_configuration(account, given(params), default=False)


@operation("GET", "/v1/billing_portal/configurations/{configuration}")
def retrieve(account: Account, params: Json, configuration: str) -> Json:
    return account.find("billing_portal.configuration", configuration)


@operation("POST", "/v1/billing_portal/configurations/{configuration}")
def update(account: Account, params: Json, configuration: str) -> Json:
    found = account.find("billing_portal.configuration", configuration)
    changes = changed(
        found, {n: params[n] for n in ("active", "default_return_url", "metadata", "name") if n in params}
    )
    if params.get("features"):
        asked = params["features"]
        changes["features"] = {n: part | given(asked.get(n) or {}) for n, part in found["features"].items()}
    changes["updated"] = account.now()
    return account.change(found, changes, "billing_portal.configuration.updated")


@operation("GET", "/v1/billing_portal/configurations")
def index(account: Account, params: Json) -> Json:
    default_configuration(account)
    filters = {"$.active": params.get("active"), "$.is_default": params.get("is_default")}
    url = "/v1/billing_portal/configurations"
    return lists.page(account, "billing_portal.configuration", params, url, filters)


@operation("POST", "/v1/billing_portal/sessions")
def create_session(account: Account, params: Json) -> Json:
    params = given(params)
    if "customer" not in params:
        raise missing_parameter("customer")
    account.find("customer", params["customer"], "customer")
    if params.get("configuration"):
        kind = "billing_portal.configuration"
        configuration = account.find(kind, params["configuration"], "configuration")
    else:
        configuration = default_configuration(account)
    id_ = account.new_id("billing_portal.session")
    fields = {
        "id": id_,
        "configuration": configuration["id"],
        "customer": params["customer"],
        "flow": flow(params.get("flow_data")),
        "locale": params.get("locale"),
        "return_url": params.get("return_url") or configuration["default_return_url"],
        "url": f"{account.config.pages}/b/session/{id_}",
    }
    return account.add("billing_portal.session", fields, "billing_portal.session.created")


def flow(data: Json | None) -> Json | None:
    """What flow_data asks for, in the form that the session shows."""
    if not data:
        return None
    completion = data.get("after_completion") or {"type": "portal_homepage"}
    names = ("subscription_cancel", "subscription_update", "subscription_update_confirm")
    shown = {name: data.get(name) for name in names}
    if shown["subscription_cancel"]:
        shown["subscription_cancel"] = {"retention": None} | shown["subscription_cancel"]
    after = {"hosted_confirmation": None, "redirect": None} | completion
    return {"type": data["type"], "after_completion": after} | shown
