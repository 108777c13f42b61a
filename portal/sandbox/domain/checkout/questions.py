"""What a checkout asks its buyer beside the payment: phone, custom fields, consent; and its recovery once expired.

https://docs.stripe.com/payments/checkout/custom-components and https://docs.stripe.com/payments/checkout/abandoned-carts
"""

import re
from collections.abc import Mapping
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
NO_TEXT = dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance"))
NO_CONSENT = {"payment_method_reuse_agreement": None, "promotions": None, "terms_of_service": None}
MOST = 3  # custom fields
RECOVERABLE = 30 * 86400  # seconds


def asked(params: Json) -> Json:
    """Return the fields of a session or Payment Link that say what it asks. Raises StripeError."""
    fields: Json = {
        "phone_number_collection": params.get("phone_number_collection") or {"enabled": False},
        "custom_fields": [custom_field(one) for one in params.get("custom_fields") or []],
        "custom_text": NO_TEXT | {name: text or None for name, text in (params.get("custom_text") or {}).items()},
        "consent_collection": None,
        "shipping_address_collection": params.get("shipping_address_collection"),
    }
    if params.get("consent_collection"):
        fields["consent_collection"] = NO_CONSENT | params["consent_collection"]
    keys = [one["key"] for one in fields["custom_fields"]]
    if len(keys) > MOST or len(set(keys)) < len(keys):
        words = f"A checkout can have up to {MOST} custom fields, each with its own key."
        raise StripeError(words, param="custom_fields")
    return fields


def custom_field(given: Json) -> Json:
    """Return a custom field as a session shows it. Raises StripeError."""
    kind = given["type"]
    bounds: Json = {"default_value": None, "maximum_length": None, "minimum_length": None}
    terms = given.get(kind) or {}
    if kind == "dropdown":
        if not terms.get("options"):
            raise StripeError("A dropdown needs options.", param="custom_fields[0][dropdown][options]")
        bounds = {"default_value": None, "options": []}
    return {
        "key": given["key"],
        "label": given["label"],
        "optional": bool(given.get("optional")),
        "type": kind,
        kind: bounds | terms | {"value": None},
    }


def of_link(link: Json) -> Json:
    """Return the parameters of a session by which it asks the same as its Payment Link."""
    fields = [one | {one["type"]: without_value(one[one["type"]])} for one in link["custom_fields"]]
    names = ("phone_number_collection", "custom_text", "consent_collection", "submit_type")
    kept = {name: link[name] for name in (*names, "shipping_address_collection")}
    return kept | {"custom_fields": fields}


def without_value(terms: Json) -> Json:
    """Return the terms of a custom field, as a Payment Link shows them."""
    return {name: value for name, value in terms.items() if name != "value"}


def problems(session: Json, typed: Mapping[str, str]) -> dict[str, str]:
    """Return error messages for what is missing or wrong, by field of the form."""
    found = {}
    if session["phone_number_collection"]["enabled"] and not re.fullmatch(
        r"\+?[\d ()/-]{5,20}", typed.get("phone", "").strip()
    ):
        found["phone"] = "Enter a phone number."
    found |= shipping_problems(session, typed)
    for one in session["custom_fields"]:
        words = problem(one, typed.get(f"custom_{one['key']}", "").strip())
        if words:
            found[f"custom_{one['key']}"] = words
    if (session["consent_collection"] or {}).get("terms_of_service") == "required" and not typed.get("terms"):
        found["terms"] = "Accept the terms of service to continue."
    return found


def shipping_problems(session: Json, typed: Mapping[str, str]) -> dict[str, str]:
    """Return error messages for the address to ship to, by field of the form."""
    wanted = session["shipping_address_collection"]
    if not wanted:
        return {}
    needed = ("name", "line1", "city", "postal_code")
    found = {f"ship_{n}": "Fill in this field." for n in needed if not typed.get(f"ship_{n}", "").strip()}
    if typed.get("ship_country") not in wanted["allowed_countries"]:
        found["ship_country"] = "Choose one of these."
    return found


def shipping(session: Json, typed: Mapping[str, str]) -> Json | None:
    """Return the name and address to ship to."""
    if not session["shipping_address_collection"]:
        return None
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    address = {name: typed.get(f"ship_{name}", "").strip() or None for name in parts}
    return {"name": typed["ship_name"].strip(), "address": address}


def problem(field: Json, value: str) -> str | None:
    """Return the error message for a value of a custom field, if there is one."""
    terms = field[field["type"]]
    if not value:
        return None if field["optional"] else "Fill in this field."
    if field["type"] == "dropdown":
        return None if value in [one["value"] for one in terms["options"]] else "Choose one of these."
    if field["type"] == "numeric" and not value.isdigit():
        return "Enter digits only."
    least, most = terms["minimum_length"] or 0, terms["maximum_length"] or 255
    return None if least <= len(value) <= most else f"Enter {least} to {most} characters."


def answers(session: Json, typed: Mapping[str, str]) -> Json:
    """Return the buyer's answers as fields of the session."""
    fields = []
    for one in session["custom_fields"]:
        value = typed.get(f"custom_{one['key']}", "").strip() or None
        fields.append(one | {one["type"]: one[one["type"]] | {"value": value}})
    changes: Json = {"custom_fields": fields}
    if session["shipping_address_collection"]:
        changes["collected_information"] = session["collected_information"] | {
            "shipping_details": shipping(session, typed)
        }
    wanted = session["consent_collection"]
    if wanted:
        terms = "accepted" if wanted["terms_of_service"] == "required" else None
        opted = "opt_in" if typed.get("promotions") else "opt_out"
        changes["consent"] = {
            "promotions": opted if wanted["promotions"] == "auto" else None,
            "terms_of_service": terms,
        }
    return changes


def recovery(account: Account, session: Json) -> Json | None:
    """Return after_expiration of a session that expires: with an address that makes a copy of it for 30 days."""
    kept: Json | None = session["after_expiration"]
    wanted = (kept or {}).get("recovery")
    if not wanted or not wanted["enabled"]:
        return kept
    url = f"{account.config.pages}/r/{session['id']}"
    return {"recovery": wanted | {"expires_at": account.now() + RECOVERABLE, "url": url}}


def may_recover(account: Account, session: Json) -> bool:
    """Return whether an expired session can still be recovered."""
    found = (session["after_expiration"] or {}).get("recovery") or {}
    return bool(found.get("url") and found["expires_at"] > account.now())


def recovering(given: Json) -> Json:
    """Return after_expiration of a new session, which has no address yet."""
    return {"recovery": {"allow_promotion_codes": False, "expires_at": None, "url": None} | given["recovery"]}


def count(account: Account, session: Json) -> None:
    """Count a completed session of a Payment Link, which is switched off once its limit is reached."""
    link = account.get(session["payment_link"])
    if not link or not link["restrictions"]:
        return
    done = link["restrictions"]["completed_sessions"]
    done = done | {"count": done["count"] + 1}
    open_still = link["active"] and done["count"] < done["limit"]
    changes = {"restrictions": {"completed_sessions": done}, "active": open_still}
    account.change(link, changes, "payment_link.updated")
