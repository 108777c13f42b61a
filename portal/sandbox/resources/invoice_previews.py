"""Previews of invoices."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.invoices import previews
from portal.sandbox.domain.pricing import tax_rates, taxes
from portal.sandbox.domain.subscriptions.schedules.lifecycle import KIND
from portal.sandbox.resources import customers, invoiceitems
from portal.sandbox.resources.common import given, require_future, with_addresses
from portal.sandbox.resources.subscription_items import update_item
from portal.sandbox.resources.subscription_schedules import change, create_alone

Json = dict[str, Any]


@operation("POST", "/v1/invoices/create_preview")
def create_preview(account: Account, params: Json) -> Json:
    asked_for, params = params, given(params)
    terms = given(params.get("subscription_details") or {})
    named = params.get("subscription")
    subscription = account.find("subscription", named, "subscription") if named else None
    rates = terms.pop("default_tax_rates", None)
    if rates:
        terms["default_tax_rates"] = tax_rates.named(account, rates, "subscription_details[default_tax_rates]")
    terms |= {name: params[name] for name in ("currency",) if name in params}
    if "discounts" in asked_for:
        terms["discounts"] = asked_for["discounts"] or []
    terms["recurring"] = params.get("preview_mode") == "recurring"
    named = params.get("schedule")
    before = previews.newest(account, account.find(KIND, named, "schedule")) if named else None
    with account.store.rehearsal():
        customer = customer_of(account, params, subscription)
        add_items(account, customer, params)
        require_future(account, terms, "trial_end", "cancel_at", at="subscription_details")
        schedule = planned(account, customer, params)
        if schedule:
            invoice = previews.of_schedule(account, schedule, before)
        else:
            asked = enumerate(terms.get("items") or [])
            items = [update_item(account, item, f"subscription_details[items][{n}]") for n, item in asked]
            invoice = previews.preview(account, customer, subscription, items, terms)
        invoice = with_tax(account, params, invoice)
    if not params.get("customer") and not subscription and not named:
        del invoice["customer"]  # absent, not null: nobody in the account has it yet
    return invoice


def customer_of(account: Account, params: Json, subscription: Json | None) -> Json | None:
    """Return the customer of a preview with its customer_details: a known one, or one who is made for it."""
    details = given(params.get("customer_details") or {})
    named = params.get("customer") or (subscription or {}).get("customer")
    ids = details.pop("tax_ids", [])
    if named:
        customer = account.find("customer", named, "customer")
        account.change(customer, with_addresses(details))
    elif details:
        customer = customers.create(account, details)
    else:
        return None
    for one in ids:
        taxes.add(account, customer, one["type"], one["value"])
    return customer


def add_items(account: Account, customer: Json | None, params: Json) -> None:
    """Add the invoice_items of a preview, or change the pending ones that they name. Raises StripeError."""
    for number, asked in enumerate(params.get("invoice_items") or []):
        item = {name: value for name, value in asked.items() if name != "invoiceitem"}
        if asked.get("invoiceitem"):
            invoiceitems.update(account, item, asked["invoiceitem"])
            continue
        if customer is None:
            raise StripeError("You must provide a customer for invoice_items.", param=f"invoice_items[{number}]")
        if item.get("price"):
            item["pricing"] = {"price": item.pop("price")}
        if item.get("unit_amount") is not None:
            item["unit_amount_decimal"] = str(item.pop("unit_amount"))
        invoiceitems.create(account, item | {"customer": customer["id"]})


def with_tax(account: Account, params: Json, invoice: Json) -> Json:
    """Return a preview with the automatic_tax asked for. Raises StripeError without an address."""
    asked = taxes.free(params.get("automatic_tax"))
    if not asked["enabled"]:
        return invoice
    customer = account.find("customer", invoice["customer"])
    taxes.require_location(customer)
    return invoice | {"automatic_tax": taxes.calculated({"disabled_reason": None} | asked, customer)}


def planned(account: Account, customer: Json | None, params: Json) -> Json | None:
    """Return the schedule of a preview, made or changed by schedule_details. Raises StripeError."""
    named, details = params.get("schedule"), given(params.get("schedule_details") or {})
    if (named or details) and params.keys() & {"subscription", "subscription_details"}:
        words = "You cannot preview a schedule together with a subscription or its details."
        raise StripeError(words, param="schedule" if named else "schedule_details")
    if named:
        found = account.find(KIND, named, "schedule")
        return change(account, found, details) if details else found
    if not details or customer is None:
        return None
    phases = [dict(phase) for phase in details.get("phases") or []]
    start = (phases[0].pop("start_date", None) if phases else None) or "now"
    return create_alone(account, details | {"customer": customer["id"], "phases": phases, "start_date": start})
