"""The phases of a schedule, and what a subscription takes from them."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import invoice_items
from portal.sandbox.domain.pricing import discounts

Json = dict[str, Any]
PHASE: Json = {
    "add_invoice_items": [],
    "application_fee_percent": None,
    "billing_cycle_anchor": None,
    "billing_thresholds": None,
    "collection_method": None,
    "default_payment_method": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "invoice_settings": None,
    "metadata": {},
    "on_behalf_of": None,
    "proration_behavior": "create_prorations",
    "transfer_data": None,
    "trial_end": None,
}
# What a phase, else the schedule's default_settings, sets of a subscription.
SETTINGS = ("billing_thresholds", "collection_method", "default_payment_method", "description")


def item(price: Json, asked: Json) -> Json:
    """Return a phase's item for one price; `asked` has its quantity, discounts, metadata and tax_rates, if any."""
    shown: Json = {
        "billing_thresholds": asked.get("billing_thresholds"),
        "discounts": asked.get("discounts") or [],
    }
    shown |= {"metadata": asked.get("metadata") or {}, "tax_rates": asked.get("tax_rates") or []}
    shown |= {"plan": price["id"], "price": price["id"]}
    if price["recurring"]["usage_type"] == "metered":
        return shown
    return shown | {"quantity": 1 if asked.get("quantity") is None else asked["quantity"]}


def dates_of(phase: Json) -> Json:
    """Return when a phase begins and ends."""
    return {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def at(schedule_phases: list[Json], moment: int) -> Json | None:
    """Return the phase that applies at a time."""
    return next((p for p in schedule_phases if p["start_date"] <= moment < p["end_date"]), None)


def current(schedule: Json) -> Json:
    """Return the phase that a schedule says is its current one."""
    return next(phase for phase in schedule["phases"] if dates_of(phase) == schedule["current_phase"])


def is_last(schedule: Json, phase: Json) -> bool:
    """Return whether no phase comes after this one."""
    return bool(phase["end_date"] == schedule["phases"][-1]["end_date"])


def wanted(account: Account, kept: list[Json], phase: Json) -> list[Json]:
    """Return a phase's items as changes to a subscription's items: the first replaces the first, and so on."""
    changes: list[Json] = []
    for place, one in enumerate(phase["items"]):
        change = {name: one[name] for name in ("billing_thresholds", "discounts", "metadata", "tax_rates")}
        change |= {"price": account.find("price", one["price"]), "quantity": one.get("quantity")}
        changes.append(change | ({"id": kept[place]["id"]} if place < len(kept) else {}))
    return changes + [{"id": one["id"], "deleted": True} for one in kept[len(phase["items"]) :]]


def own_discounts(account: Account, subscription: Json, phase: Json) -> Json:
    """Return a subscription's fields for the discounts of a phase: existing ones continue, a coupon begins a new
    one; without any the customer's counts, unless the phase has an empty list. Raises StripeError.
    """
    owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
    ids = discounts.redeem(account, phase["discounts"], owner, subscription["currency"])
    return {"discounts": ids, "_": subscription["_"] | {"bare": phase["_"]["bare"]}}


def terms(schedule: Json, phase: Json) -> Json:
    """Return the other fields that a subscription takes from a phase, or else from the schedule's settings."""
    defaults = schedule["default_settings"]
    changes: Json = {name: phase[name] or defaults[name] for name in SETTINGS if phase[name] or defaults[name]}
    changes["default_tax_rates"] = phase["default_tax_rates"]
    for settings in (phase["invoice_settings"], defaults["invoice_settings"]):
        if settings and settings["days_until_due"] is not None:
            changes.setdefault("days_until_due", settings["days_until_due"])
    tax = phase.get("automatic_tax") or defaults.get("automatic_tax")
    return changes | ({"automatic_tax": {"disabled_reason": None} | tax} if tax else {})


def add_once(account: Account, subscription: Json, phase: Json) -> None:
    """Add a phase's one-time prices to the next invoice."""
    customer = account.find("customer", subscription["customer"])
    for extra in phase["add_invoice_items"]:
        price = account.find("price", extra["price"])
        invoice_items.add_once(account, customer, subscription, extra | {"price": price}, phase)


def anchors(schedule: Json, phase: Json) -> bool:
    """Return whether a phase begins a new billing cycle."""
    asked = phase["billing_cycle_anchor"] or schedule["default_settings"]["billing_cycle_anchor"]
    return bool(asked == "phase_start")


def require_current(schedule_phases: list[Json], moment: int) -> Json:
    """Return the phase that applies at a time. Raises StripeError if there is none."""
    found = at(schedule_phases, moment)
    if found is None:
        raise StripeError("The schedule must have a phase that holds now.", param="phases")
    return found
