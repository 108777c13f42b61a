"""Payment links: a checkout that anyone can open repeatedly."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.checkout import questions, totals
from portal.sandbox.resources.checkout_lines import kept_line, optional_items
from portal.sandbox.resources.checkout_sessions import open_session
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]
HANDED_ON = ("price", "quantity", "adjustable_quantity")  # of a link's line, to its sessions


@operation("POST", "/v1/payment_links")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    lines = [kept_line(account, given(item), n) for n, item in enumerate(params["line_items"])]
    recurring = any(account.find("price", line["price"])["recurring"] for line in lines)
    mode = "subscription" if recurring else "payment"
    optional = optional_items(account, params, mode)
    currency = totals.currency_of(account, lines + optional, params.get("currency"))
    id_ = account.new_id("payment_link")
    fields = {
        "id": id_,
        "active": True,
        "after_completion": after_completion(params.get("after_completion")),
        "allow_promotion_codes": params.get("allow_promotion_codes", False),
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_address_collection": params.get("billing_address_collection", "auto"),
        "currency": currency,
        "customer_creation": "always" if recurring else params.get("customer_creation", "if_required"),
        "metadata": params.get("metadata") or {},
        "optional_items": optional,
        "payment_method_collection": params.get("payment_method_collection", "always"),
        "payment_method_types": params.get("payment_method_types"),
        "inactive_message": params.get("inactive_message"),
        "restrictions": restrictions(params.get("restrictions")),
        "submit_type": params.get("submit_type", "auto"),
        "subscription_data": shown_data(params.get("subscription_data")) if recurring else None,
        "tax_id_collection": {"enabled": False, "required": "never"},
        "url": f"{account.config.pages}/p/{id_.removeprefix('plink_')}",
        "_": {"line_items": lines, "mode": mode} | {"subscription_data": params.get("subscription_data") or {}},
    }
    asked = questions.asked(params)
    for one in asked["custom_fields"]:
        one[one["type"]] = questions.without_value(one[one["type"]])
    return account.add("payment_link", fields | asked, "payment_link.created")


def restrictions(asked: Json | None, before: Json | None = None) -> Json | None:
    """Return a link's limit of completed sessions, with how many there are."""
    if not asked:
        return None
    count = before["completed_sessions"]["count"] if before else 0
    return {"completed_sessions": {"count": count, "limit": asked["completed_sessions"]["limit"]}}


def after_completion(asked: Json | None) -> Json:
    """Return what happens after the payment: Stripe's own page, or a redirect."""
    if asked and asked["type"] == "redirect":
        return {"type": "redirect", "redirect": {"url": asked["redirect"]["url"]}}
    words = ((asked or {}).get("hosted_confirmation") or {}).get("custom_message")
    return {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": words}}


def shown_data(asked: Json | None) -> Json:
    """Return subscription_data as the link shows it."""
    asked = asked or {}
    return {
        "description": asked.get("description"),
        "invoice_settings": {"issuer": {"type": "self"}},
        "metadata": asked.get("metadata") or {},
        "trial_period_days": asked.get("trial_period_days"),
        "trial_settings": asked.get("trial_settings"),
    }


def begin(account: Account, link: Json) -> Json:
    """Create a checkout session for one visitor of a link. Raises StripeError if a price was archived."""
    kept = link["_"]
    after = link["after_completion"]
    params = {
        "allow_promotion_codes": link["allow_promotion_codes"],
        "billing_address_collection": link["billing_address_collection"],
        "currency": link["currency"],
        "customer_creation": link["customer_creation"],
        "line_items": [{name: line[name] for name in HANDED_ON if name in line} for line in kept["line_items"]],
        "optional_items": link["optional_items"],
        "metadata": link["metadata"],
        "mode": kept["mode"],
        "payment_method_types": link["payment_method_types"],
        "subscription_data": kept["subscription_data"],
    }
    params |= questions.of_link(link)
    if after["type"] == "redirect":
        params["success_url"] = after["redirect"]["url"]
    return open_session(account, given(params), link)


@operation("GET", "/v1/payment_links/{payment_link}")
def retrieve(account: Account, params: Json, payment_link: str) -> Json:
    return account.find("payment_link", payment_link)


@operation("POST", "/v1/payment_links/{payment_link}")
def update(account: Account, params: Json, payment_link: str) -> Json:
    found = account.find("payment_link", payment_link)
    names = ("active", "allow_promotion_codes", "inactive_message", "metadata", "submit_type")
    changes = changed(found, {name: params[name] for name in names if name in params})
    if "restrictions" in params:
        changes["restrictions"] = restrictions(params["restrictions"], found["restrictions"])
    if params.get("after_completion"):
        changes["after_completion"] = after_completion(params["after_completion"])
    return account.change(found, changes, "payment_link.updated")


@operation("GET", "/v1/payment_links/{payment_link}/line_items")
def line_items(account: Account, params: Json, payment_link: str) -> Json:
    items = totals.line_items(account, account.find("payment_link", payment_link))
    return lists.slice_of(items, params, f"/v1/payment_links/{payment_link}/line_items")


@on_request("payment_link", "line_items")
def included_line_items(account: Account, link: Json) -> Json:
    return line_items(account, {}, link["id"])


@operation("GET", "/v1/payment_links")
def index(account: Account, params: Json) -> Json:
    filters = {"$.active": params.get("active")}
    return lists.page(account, "payment_link", params, "/v1/payment_links", filters)
