"""Invoice previews: the change is made, time is advanced, and everything is rolled back."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.invoices import drafts, invoice_items
from portal.sandbox.domain.pricing import discounts
from portal.sandbox.domain.subscriptions import (
    cancellation,
    creation,
    prorations,
    renewals,
    subscription_items,
    updates,
)
from portal.sandbox.domain.subscriptions.schedules import lifecycle, phases, transitions

Json = dict[str, Any]


def preview(
    account: Account, customer: Json | None, subscription: Json | None, items: list[Json], terms: Json
) -> Json:
    """Return the next invoice of a subscription with changed items, or the first one of a new subscription.

    terms are Stripe's subscription_details. Raises StripeError.
    """
    with account.store.rehearsal():
        if subscription:
            invoice = after_change(account, subscription, items, terms)
        elif customer and items:
            invoice = first(account, customer, items, terms)
        elif customer:
            currency = terms.get("currency") or customer["currency"] or "usd"
            lines = invoice_items.take(account, customer["id"], currency, None)
            invoice = drafts.draft(
                account, customer, currency, lines, {"discounts": inherited(account, customer, terms)}
            )
        else:
            raise missing_parameter("customer")
    return as_preview(invoice)


def newest(account: Account, schedule: Json) -> str | None:
    """Return the id of the latest invoice of a schedule's subscription, if it has begun."""
    subscription = account.get(schedule["subscription"])
    return subscription["latest_invoice"] if subscription else None


def of_schedule(account: Account, schedule: Json, before: str | None) -> Json:
    """Return what a schedule bills next: a change of it at once, if that made another invoice than before, else
    the next renewal, or the first invoice of one that has not begun. The caller rolls everything back.
    """
    lifecycle.require_running(schedule)
    invoice = newest(account, schedule)
    if invoice == before and schedule["status"] == "active":
        return as_preview(renewal(account, account.find("subscription", schedule["subscription"])))
    if schedule["status"] == "not_started":
        pretend(account, schedule["test_clock"], schedule["phases"][0]["start_date"])
        invoice = newest(account, transitions.start(account, schedule))
    return as_preview(account.find("invoice", invoice or ""))


def inherited(account: Account, customer: Json, terms: Json) -> list[str]:
    """Return the discounts of a preview without a subscription: those given, else the customer's."""
    if "discounts" not in terms:
        return discounts.of_customer(account, customer)
    currency = terms.get("currency") or customer["currency"]
    return discounts.redeem(account, terms["discounts"], {"customer": customer["id"]}, currency)


def after_change(account: Account, subscription: Json, items: list[Json], terms: Json) -> Json:
    """Return the cost of a change today if it is billed immediately, otherwise the next renewal with its
    prorations.
    """
    if terms.get("recurring"):
        leave_out_what_is_billed_once(account, subscription["customer"])
    if "discounts" in terms:
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        redeemed = discounts.redeem(account, terms["discounts"], owner, subscription["currency"])
        hidden = subscription["_"] | {"bare": not redeemed}
        account.change(subscription, {"discounts": redeemed, "_": hidden})
    if "default_tax_rates" in terms:
        account.change(subscription, {"default_tax_rates": terms["default_tax_rates"]})
    if terms.get("cancel_now"):
        cancellation.settle(account, subscription, terms.get("proration_behavior") != "none")
        return cancellation.last_invoice(account, subscription)
    changes: Json = {}
    if "cancel_at_period_end" in terms or "cancel_at" in terms:
        ends = terms.get("cancel_at_period_end"), terms.get("cancel_at")
        changes = cancellation.scheduled(account, subscription, *ends)
    plan = updates.planned(account, subscription, items, terms)
    updates.write(account, subscription, plan, changes)
    if plan.bills:
        return updates.draft(account, subscription, plan, terms)
    prorations.prorate(account, subscription, plan, terms.get("proration_date"))
    return renewal(account, subscription)


def leave_out_what_is_billed_once(account: Account, customer: str) -> None:
    """Remove pending items and the customer's balance, within a preview of recurring amounts only."""
    pending = "json_extract(json, '$.customer') = ? AND json_extract(json, '$.invoice') IS NULL"
    for item in account.store.select(account.mode, "invoiceitem", pending, customer):
        account.store.remove(account.mode, item["id"])
    account.change(account.find("customer", customer), {"balance": 0})


def renewal(account: Account, subscription: Json) -> Json:
    """Return the next renewal, at its due time, or the invoice of a phase that begins before it and bills at once.

    Raises StripeError if there is none.
    """
    before = subscription["latest_invoice"]
    subscription = through_phases(account, subscription)
    if subscription["latest_invoice"] == before:
        pretend(account, subscription["test_clock"], subscription_items.next_end(subscription))
        subscription = renewals.renew(account, subscription)
    if subscription["latest_invoice"] == before:
        words = f"No upcoming invoices for customer: {subscription['customer']}"
        raise StripeError(words, code="invoice_upcoming_none", status=404)
    return account.find("invoice", subscription["latest_invoice"])


def through_phases(account: Account, subscription: Json) -> Json:
    """Begin the phases that begin before the next renewal, which bills their prorations."""
    before = subscription["latest_invoice"]
    while (schedule := account.get(subscription["schedule"])) and subscription["latest_invoice"] == before:
        ends = phases.current(schedule)["end_date"]
        if ends >= subscription_items.next_end(subscription):
            break
        pretend(account, subscription["test_clock"], ends)
        renewals.next_phase(account, schedule)
        subscription = account.find("subscription", subscription["id"])
    return subscription


def pretend(account: Account, clock: str | None, moment: int) -> None:
    """Advance the time, within the preview only."""
    found = account.get(clock)
    if found:
        account.clock = account.change(found, {"frozen_time": moment})
    else:
        account.clock = {"id": None, "frozen_time": moment}


def first(account: Account, customer: Json, items: list[Json], terms: Json) -> Json:
    """Return the first invoice of a subscription that doesn't exist yet."""
    trial_end = terms.get("trial_end")
    fields: Json = {"trial_end": int(trial_end)} if trial_end and trial_end != "now" else {}
    fields["default_tax_rates"] = terms.get("default_tax_rates") or []
    fields["discounts"] = terms.get("discounts") or []
    fields |= {name: terms[name] for name in ("currency",) if name in terms}
    bare = "discounts" in terms and not terms["discounts"]
    hidden = {"behavior": "default_incomplete", "bare": bare}
    started = creation.start(account, customer, items, fields | {"_": hidden})
    return account.find("invoice", started["latest_invoice"])


def as_preview(invoice: Json) -> Json:
    """Remove the number, page, id and payment of a preview's invoice."""
    nowhere = {"hosted_invoice_url": None, "invoice_pdf": None, "number": None, "effective_at": None}
    unpaid = {"amount_paid": 0, "amount_remaining": invoice["amount_due"], "attempted": False, "attempt_count": 0}
    unpaid |= {"ending_balance": None, "status_transitions": dict.fromkeys(invoice["status_transitions"])}
    return invoice | nowhere | unpaid | {"id": f"upcoming_{invoice['id']}", "status": "draft"}
