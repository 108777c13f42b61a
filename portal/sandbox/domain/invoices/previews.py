"""What an invoice would be: the change is really made, time really passes, and all of it is undone."""

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

Json = dict[str, Any]


def preview(
    account: Account, customer: Json | None, subscription: Json | None, items: list[Json], terms: Json
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
            invoice = drafts.draft(
                account, customer, currency, invoice_items.take(account, customer["id"], currency, None), {}
            )
        else:
            raise missing_parameter("customer")
    return as_preview(invoice)


def after_change(account: Account, subscription: Json, items: list[Json], terms: Json) -> Json:
    """What a change costs today where it is billed at once, otherwise the next renewal with its prorations."""
    if "discounts" in terms:
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        redeemed = discounts.redeem(account, terms["discounts"], owner, subscription["currency"])
        account.change(subscription, {"discounts": redeemed})
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


def renewal(account: Account, subscription: Json) -> Json:
    """The next renewal, at the time when it falls due. Raises StripeError when there will be none."""
    before = subscription["latest_invoice"]
    moment = subscription_items.next_end(subscription)
    pretend(account, subscription["test_clock"], moment)
    after = renewals.renew(account, subscription)
    if after["latest_invoice"] == before:
        words = f"No upcoming invoices for customer: {subscription['customer']}"
        raise StripeError(words, code="invoice_upcoming_none", status=404)
    return account.find("invoice", after["latest_invoice"])


def pretend(account: Account, clock: str | None, moment: int) -> None:
    """Let it be later, for as long as the rehearsal lasts."""
    found = account.get(clock)
    if found:
        account.clock = account.change(found, {"frozen_time": moment})
    else:
        account.clock = {"id": None, "frozen_time": moment}


def first(account: Account, customer: Json, items: list[Json], terms: Json) -> Json:
    """The first invoice of a subscription that doesn't exist yet."""
    trial_end = terms.get("trial_end")
    fields: Json = {"trial_end": int(trial_end)} if trial_end and trial_end != "now" else {}
    fields["discounts"] = terms.get("discounts") or []
    started = creation.start(account, customer, items, fields | {"_": {"behavior": "default_incomplete"}})
    return account.find("invoice", started["latest_invoice"])


def as_preview(invoice: Json) -> Json:
    """A preview has no number, no page and an id of its own."""
    nowhere = {"hosted_invoice_url": None, "invoice_pdf": None, "number": None, "effective_at": None}
    times = dict.fromkeys(invoice["status_transitions"])
    return invoice | nowhere | {"id": f"upcoming_{invoice['id']}", "status": "draft", "status_transitions": times}
