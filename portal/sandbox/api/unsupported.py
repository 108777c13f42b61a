"""Parameters that Stripe takes and the sandbox doesn't act on: refusing them beats a wrong amount."""

from typing import Any

from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]

# A name alone is refused whenever it has a value; with "=" only that value is.
REFUSED: dict[str, tuple[str, ...]] = {
    "GET /v1/charges": ("transfer_group",),
    "GET /v1/invoices": ("due_date",),
    "GET /v1/prices": ("recurring[meter]",),
    "GET /v1/products": ("shippable", "url"),
    "GET /v1/subscriptions": ("automatic_tax", "current_period_end", "current_period_start"),
    "POST /v1/checkout/sessions": (
        "invoice_creation[enabled]",
        "optional_items",
        "payment_intent_data[capture_method]=manual",
        "shipping_options",
        "subscription_data[billing_cycle_anchor]",
        "subscription_data[default_tax_rates]",
    ),
    "POST /v1/customers": ("source",),
    "POST /v1/customers/{customer}": ("source",),
    "POST /v1/invoiceitems": ("discounts", "tax_rates"),
    "POST /v1/invoices": (
        "default_tax_rates",
        "from_invoice",
        "shipping_cost",
    ),
    "POST /v1/payment_intents": (
        "application_fee_amount",
        "capture_method=manual",
        "payment_method_data",
        "transfer_data",
    ),
    "POST /v1/payment_intents/{intent}/confirm": ("payment_method_data",),
    "POST /v1/payment_links": (
        "automatic_tax[enabled]",
        "invoice_creation[enabled]",
        "optional_items",
        "shipping_options",
    ),
    "POST /v1/prices": (
        "billing_scheme=tiered",
        "currency_options",
        "custom_unit_amount",
        "tiers",
        "transform_quantity",
    ),
    "POST /v1/setup_intents": ("payment_method_data",),
    "POST /v1/subscription_schedules/{schedule}": ("default_settings", "pause_schedules"),
    "POST /v1/subscriptions": (
        "add_invoice_items",
        "backdate_start_date",
        "billing_cycle_anchor",
        "default_tax_rates",
        "payment_behavior=pending_if_incomplete",
        "pending_invoice_item_interval",
        "transfer_data",
    ),
    "POST /v1/subscriptions/{subscription}/pause": ("bill_for", "invoicing_behavior=invoice"),
    "POST /v1/subscriptions/{subscription_exposed_id}": (
        "add_invoice_items",
        "default_tax_rates",
        "pause_collection",
    ),
}


def refuse(operation: str, params: Json) -> None:
    """Raises StripeError for the first parameter that the sandbox would have to ignore."""
    for rule in REFUSED.get(operation, ()):
        name, _, value = rule.partition("=")
        given = dig(params, name.replace("]", "").split("["))
        if given and (not value or given == value):
            raise StripeError(f"The sandbox doesn't support {rule.replace('=', ' = ')}.", param=name)


def dig(params: Any, path: list[str]) -> Any:
    """The value at a path of names, or None."""
    for name in path:
        params = params.get(name) if isinstance(params, dict) else None
    return params
