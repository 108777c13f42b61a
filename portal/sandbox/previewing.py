"""What an invoice would be: the change is really made, the invoice drafted, and all of it undone."""

from typing import TYPE_CHECKING, Any

from portal.sandbox import changing, invoicing, items_due, periods, subscribing
from portal.sandbox.wire import missing_parameter

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]


def preview(
    account: "Account", customer: Json | None, subscription: Json | None, items: list[Json], terms: Json
) -> Json:
    """The next invoice of a subscription, with items changed as given, or the first one of a new subscription.

    terms are Stripe's subscription_details. Raises StripeError.
    """
    with account.store.rehearsal():
        if subscription:
            invoice = after_change(account, subscription, items, terms)
        elif customer and items:
            invoice = first(account, customer, items, terms)
        elif customer:
            currency = customer["currency"] or "usd"
            invoice = invoicing.draft(
                account, customer, currency, items_due.take(account, customer["id"], currency, None), {}
            )
        else:
            raise missing_parameter("customer")
    return as_preview(invoice)


def after_change(account: "Account", subscription: Json, items: list[Json], terms: Json) -> Json:
    """With always_invoice what the change costs today, otherwise the next renewal with its prorations."""
    before = subscription["items"]["data"]
    after = changing.items_after(account, subscription, items)
    behavior = terms.get("proration_behavior") or "create_prorations"
    subscription["items"]["data"] = after
    if behavior != "none" and after != before:
        changing.prorate(account, subscription, before, after, terms.get("proration_date"))
    subscription["latest_invoice"] = account.new_id("invoice")
    if behavior == "always_invoice" and after != before:
        return subscribing.bill(account, subscription, "subscription_update")
    for item in after:
        start = item["current_period_end"]
        bounds = periods.containing(subscription["billing_cycle_anchor"], item["price"]["recurring"], start)
        item.update(current_period_start=start, current_period_end=bounds[1])
    return subscribing.bill(account, subscription, "subscription_cycle")


def first(account: "Account", customer: Json, items: list[Json], terms: Json) -> Json:
    """The first invoice of a subscription that doesn't exist yet."""
    trial_end = terms.get("trial_end")
    fields: Json = {"trial_end": int(trial_end)} if trial_end and trial_end != "now" else {}
    started = subscribing.start(account, customer, items, fields | {"_": {"behavior": "default_incomplete"}})
    return account.find("invoice", started["latest_invoice"])


def as_preview(invoice: Json) -> Json:
    """A preview has no number, no page and an id of its own."""
    nowhere = {"hosted_invoice_url": None, "invoice_pdf": None, "number": None, "effective_at": None}
    times = dict.fromkeys(invoice["status_transitions"])
    return invoice | nowhere | {"id": f"upcoming_{invoice['id']}", "status": "draft", "status_transitions": times}
