"""New subscriptions and their first invoice."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.lists import of
from portal.sandbox.domain.invoices import drafts, finalization, invoice_items
from portal.sandbox.domain.payments import customer_balance
from portal.sandbox.domain.pricing import amounts, currencies, discounts
from portal.sandbox.domain.subscriptions import billing, subscription_items, trials

Json = dict[str, Any]

INCOMPLETE_FOR = 23 * 3600  # seconds until a first payment expires
INVOICE_SETTINGS: Json = {
    "account_tax_ids": None,
    "custom_fields": None,
    "description": None,
    "footer": None,
    "issuer": {"type": "self"},
}
PAYMENT_SETTINGS: Json = {
    "payment_method_options": None,
    "payment_method_types": None,
    "save_default_payment_method": "off",
}


def start(account: Account, customer: Json, items: list[Json], fields: Json, off_session: bool = True) -> Json:
    """Create a subscription and its first invoice, charged if possible; items have price and quantity."""
    currency = currencies.chosen([item["price"] for item in items], fields.pop("currency", None), customer)
    subscription_items.require_together(items, currency)
    customer_balance.adopt(account, customer, currency)
    now = account.now()
    id_ = account.new_id("subscription")
    trial_end = fields.get("trial_end")
    anchor = fields.get("billing_cycle_anchor") or trial_end or now
    free = fields.pop("free_until_anchor", False)
    made = [beginning(account, id_, item, trial_end, anchor, free) for item in items]
    defaults = defaults_of(id_, customer, made, trial_end) | {"billing_cycle_anchor": anchor}
    defaults |= {"currency": currency, "start_date": now, "trial_start": now if trial_end else None}
    drafts_first = fields.get("_", {}).get("drafts") or fields.get("collection_method") == "send_invoice"
    if drafts_first and not trial_end:
        defaults["status"] = "active"
    asked = fields.pop("discounts", None) or []
    extras, phase = fields.pop("add_invoice_items", None) or [], fields.pop("phase", None)
    subscription = account.add("subscription", defaults | fields)
    for extra in extras:
        invoice_items.add_once(account, customer, subscription, extra, phase)
    owner = {"customer": customer["id"], "subscription": id_}
    for number, (item, wanted) in enumerate(zip(made, items, strict=True)):
        subscription_items.discount(account, subscription, item, wanted.get("discounts") or [], number)
    subscription["discounts"] = discounts.redeem(
        account, asked, owner, currency, sum(full_amount(item, currency) for item in made)
    )
    if free:
        return start_free(account, subscription, customer)
    return first_invoice(account, subscription, customer, off_session)


def defaults_of(id_: str, customer: Json, items: list[Json], trial_end: int | None) -> Json:
    """Return a new subscription's fields, as they are unless the request sets them."""
    return {
        "id": id_,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "customer": customer["id"],
        "default_tax_rates": [],
        "invoice_settings": INVOICE_SETTINGS,
        "items": of(items, f"/v1/subscription_items?subscription={id_}"),
        "payment_settings": PAYMENT_SETTINGS,
        "status": "trialing" if trial_end else "incomplete",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def beginning(account: Account, id_: str, item: Json, trial_end: int | None, anchor: int, free: bool) -> Json:
    """Return an item of a new subscription: its first period is a trial, or ends with the anchor's cycle."""
    if trial_end:
        return subscription_items.new_item(account, id_, item, (account.now(), trial_end), anchor)
    first = subscription_items.first_period(account, item["price"], anchor)
    hidden = first["_"] | ({"net": 0} if free else {})
    return subscription_items.new_item(account, id_, item | {"_": hidden}, first["period"])


def start_free(account: Account, subscription: Json, customer: Json) -> Json:
    """Start a subscription without prorations, which is free until its anchor and has no invoice.

    https://docs.stripe.com/billing/subscriptions/billing-cycle
    """
    account.change(subscription, {"status": "active"})
    account.emit("customer.subscription.created", subscription)
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    return subscription


def full_amount(item: Json, currency: str) -> int:
    """Return what an item costs for a whole period, before discounts; metered items are not known yet."""
    if item["price"]["recurring"]["usage_type"] == "metered":
        return 0
    return amounts.amount_of(currencies.within(item["price"], currency), item["quantity"])


def first_invoice(account: Account, subscription: Json, customer: Json, off_session: bool) -> Json:
    """Create customer.subscription.created, then bill the first period."""
    account.change(subscription, {"latest_invoice": account.new_id("invoice")})
    account.emit("customer.subscription.created", subscription)
    invoice = billing.bill(account, subscription, "subscription_create", subscription["items"]["data"])
    if subscription["_"].get("behavior") == "default_incomplete":
        finalization.finalize(account, invoice)
    elif subscription["collection_method"] == "send_invoice" or subscription["_"].get("drafts"):
        account.at(account.now() + drafts.DRAFT_FOR, "collect", invoice["id"])
    else:
        finalization.collect(account, invoice, off_session)
    subscription = account.find("subscription", subscription["id"])
    if subscription["status"] == "incomplete":
        account.at(account.now() + INCOMPLETE_FOR, "lapse", subscription["id"])
    if subscription["trial_end"]:
        trials.announce(account, subscription)
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    return subscription
