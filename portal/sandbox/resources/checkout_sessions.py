"""Checkout sessions."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.checkout import questions, sessions, totals
from portal.sandbox.domain.pricing import discounts, tax_rates, taxes
from portal.sandbox.resources.checkout_lines import check_lines, kept_line, optional_items
from portal.sandbox.resources.common import changed, given, require_future

Json = dict[str, Any]
DAY = 24 * 60 * 60
PLAIN: Json = {
    "adaptive_pricing": {"enabled": False},
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "collected_information": {"business_name": None, "individual_name": None, "shipping_details": None},
    "metadata": {},
    "payment_method_options": {},
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
}
AS_GIVEN = (
    "allow_promotion_codes",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "locale",
    "metadata",
    "origin_context",
    "payment_method_options",
    "submit_type",
    "success_url",
)


@operation("POST", "/v1/checkout/sessions")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    check(account, params)
    return open_session(account, params)


def check(account: Account, params: Json) -> None:
    """Raise StripeError for combinations that Stripe refuses."""
    hosted = params.get("ui_mode", "hosted_page") == "hosted_page"
    if hosted and not params.get("success_url"):
        raise missing_parameter("success_url")
    if "mode" not in params:
        raise missing_parameter("mode")
    for name in ("success_url", "cancel_url"):
        if name in params and not params[name].startswith(("http://", "https://")):
            raise StripeError("Not a valid URL", code="url_invalid", param=name)
    if params.get("customer") and params.get("customer_email"):
        words = "You may only specify one of these parameters: customer, customer_email."
        raise StripeError(words, param="customer_email")
    if params.get("customer"):
        account.find("customer", params["customer"], "customer")
    expires = params.get("expires_at")
    if expires is not None and not account.now() + 1790 <= expires <= account.now() + DAY + 60:
        words = (
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        )
        raise StripeError(words, param="expires_at")
    check_collected(account, params)
    if params["mode"] == "setup" and not params.get("currency") and not _types(params):
        raise missing_parameter("currency")


def check_collected(account: Account, params: Json) -> None:
    """Raise StripeError unless data collected from an existing customer may be written there."""
    if params.get("discounts") and params.get("allow_promotion_codes"):
        words = "You may only specify one of these parameters: allow_promotion_codes, discounts."
        raise StripeError(words, param="discounts")
    customer, allowed = account.get(params.get("customer")), params.get("customer_update") or {}
    if customer is None:
        if allowed:
            words = "`customer_update` can only be used with `customer`."
            raise StripeError(words, param="customer_update")
        return
    if (params.get("tax_id_collection") or {}).get("enabled") and allowed.get("name") != "auto":
        words = (
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection for "
        )
        words += "an existing customer, please set `customer_update[name]` to `auto`."
        raise StripeError(words, param="tax_id_collection")
    taxed = (params.get("automatic_tax") or {}).get("enabled")
    if taxed and not customer["address"] and allowed.get("address") != "auto":
        words = (
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address "
        )
        words += "to the Customer or set `customer_update[address]` to 'auto'."
        raise StripeError(words, code="customer_tax_location_invalid", param="automatic_tax")


def _types(params: Json) -> list[str]:
    return params.get("allowed_payment_method_types") or params.get("payment_method_types") or []


def open_session(account: Account, params: Json, payment_link: Json | None = None) -> Json:
    """Create a session that waits for its buyer."""
    lines = [kept_line(account, item, n) for n, item in enumerate(params.get("line_items", []))]
    check_lines(account, params["mode"], lines)
    optional = optional_items(account, params, params["mode"])
    customer, asked = account.get(params.get("customer")), params.get("currency")
    currency = totals.currency_of(account, lines + optional, asked, customer) if lines else asked or "usd"
    id_ = account.new_id("checkout.session")
    fields = {
        "id": id_,
        "automatic_tax": automatic_tax(params),
        "currency": currency,
        "customer": params.get("customer"),
        "customer_creation": creation(params),
        "expires_at": params.get("expires_at") or account.now() + DAY,
        "mode": params["mode"],
        "optional_items": optional,
        "payment_link": payment_link["id"] if payment_link else None,
        "payment_method_collection": params.get("payment_method_collection", "always"),
        "payment_method_types": _types(params) or ["card"],
        "discounts": coupons(account, params.get("discounts") or []),
        "status": "open",
        "ui_mode": params.get("ui_mode", "hosted_page"),
        "url": f"{account.config.pages}/c/pay/{id_}",
        "_": hidden(account, params, lines),
    }
    if params.get("tax_id_collection"):
        fields["tax_id_collection"] = {"required": "never"} | params["tax_id_collection"]
    if params.get("after_expiration"):
        fields["after_expiration"] = questions.recovering(params["after_expiration"])
    fields |= questions.asked(params) | {n: params[n] for n in AS_GIVEN if n in params}
    session = account.add("checkout.session", PLAIN | fields)
    totals.compute(account, session)
    account.change(session, {"payment_status": "unpaid" if session["amount_total"] else "no_payment_required"})
    if params["mode"] == "setup":
        session["setup_intent"] = setup_intent(account, session, params)["id"]
        account.save(session)
    account.at(session["expires_at"], "expire", id_)
    return session


def hidden(account: Account, params: Json, lines: list[Json]) -> Json:
    """Return what a session keeps and does not show."""
    return {
        "customer_update": params.get("customer_update"),
        "line_items": lines,
        "params": params if params.get("after_expiration") else None,
        "payment_intent_data": payment_data(params.get("payment_intent_data", {})),
        "subscription_data": subscription_data(account, params.get("subscription_data", {})),
    }


def automatic_tax(params: Json) -> Json:
    """Return automatic_tax, which waits for an address and then is zero."""
    asked = taxes.free(params.get("automatic_tax"))
    if not asked["enabled"]:
        return asked | {"provider": None, "status": None}
    return asked | {"provider": "stripe", "status": "requires_location_inputs"}


def coupons(account: Account, asked: list[Json]) -> list[Json]:
    """Return the discounts of a session as it shows them. Raises StripeError for one that can't be used."""
    found = [discounts.named(account, one, f"discounts[{n}]") for n, one in enumerate(asked)]
    return [{"coupon": coupon["id"], "promotion_code": code["id"] if code else None} for coupon, code in found]


def creation(params: Json) -> str | None:
    """Return whether the session will create a customer."""
    if params.get("customer") or params["mode"] == "setup":
        return None
    return "always" if params["mode"] == "subscription" else params.get("customer_creation", "if_required")


def payment_data(data: Json) -> Json:
    """Return the future intent's fields from payment_intent_data."""
    names = ("description", "metadata", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor")
    return {name: data[name] for name in names if data.get(name) is not None}


def subscription_data(account: Account, data: Json) -> Json:
    """Return the future subscription's fields from subscription_data. Raises StripeError."""
    names = ("description", "metadata", "trial_end", "trial_period_days", "trial_settings")
    require_future(account, data, "trial_end", at="subscription_data")
    rates = tax_rates.named(account, data.get("default_tax_rates"), "subscription_data[default_tax_rates]")
    return {name: data[name] for name in names if data.get(name)} | {"default_tax_rates": rates}


def setup_intent(account: Account, session: Json, params: Json) -> Json:
    """Create the setup intent of a session that saves a card."""
    id_ = account.new_id("setup_intent")
    data = params.get("setup_intent_data", {})
    fields = {
        "id": id_,
        "client_secret": f"{id_}_secret_{account.new_id('item')[3:]}",
        "customer": session["customer"],
        "description": data.get("description"),
        "metadata": data.get("metadata") or {},
        "payment_method_options": {},
        "payment_method_types": session["payment_method_types"],
        "status": "requires_payment_method",
        "usage": "off_session",
    }
    return account.add("setup_intent", fields, "setup_intent.created")


@operation("GET", "/v1/checkout/sessions/{session}")
def retrieve(account: Account, params: Json, session: str) -> Json:
    return account.find("checkout.session", session)


@operation("POST", "/v1/checkout/sessions/{session}")
def update(account: Account, params: Json, session: str) -> Json:
    found = account.find("checkout.session", session)
    wanted = {name: params[name] for name in ("metadata",) if name in params}
    return account.change(found, changed(found, wanted))


@operation("POST", "/v1/checkout/sessions/{session}/expire")
def expire(account: Account, params: Json, session: str) -> Json:
    return sessions.expire(account, account.find("checkout.session", session))


def recover(account: Account, session: Json) -> Json:
    """Create a copy of an expired session. Raises StripeError if a price was archived."""
    params = {name: value for name, value in session["_"]["params"].items() if name != "expires_at"}
    wanted = session["after_expiration"]["recovery"]
    if wanted["allow_promotion_codes"] and not params.get("discounts"):
        params["allow_promotion_codes"] = True
    return account.change(open_session(account, params), {"recovered_from": session["id"]})


@operation("GET", "/v1/checkout/sessions/{session}/line_items")
def line_items(account: Account, params: Json, session: str) -> Json:
    items = totals.line_items(account, account.find("checkout.session", session))
    return lists.slice_of(items, params, f"/v1/checkout/sessions/{session}/line_items")


@on_request("checkout.session", "line_items")
def included_line_items(account: Account, session: Json) -> Json:
    return line_items(account, {}, session["id"])


@on_request("item", "taxes")
def included_taxes(account: Account, item: Json) -> list[Json]:
    return totals.taxes_of(account, item["id"])


@operation("GET", "/v1/checkout/sessions")
def index(account: Account, params: Json) -> Json:
    filters = {
        "$.customer": params.get("customer"),
        "$.customer_details.email": (params.get("customer_details") or {}).get("email"),
        "$.payment_intent": params.get("payment_intent"),
        "$.payment_link": params.get("payment_link"),
        "$.status": params.get("status"),
        "$.subscription": params.get("subscription"),
    }
    return lists.page(account, "checkout.session", params, "/v1/checkout/sessions", filters)
