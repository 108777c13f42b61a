"""New subscriptions and their first invoice."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.lists import of
from portal.sandbox.domain.invoices import drafts, finalization
from portal.sandbox.domain.pricing import amounts, discounts
from portal.sandbox.domain.subscriptions import billing, subscription_items, trials

Json = dict[str, Any]

INCOMPLETE_FOR = 23 * 3600  # seconds that a first payment may take


def start(account: Account, customer: Json, items: list[Json], fields: Json, off_session: bool = True) -> Json:
    """A new subscription and its first invoice, charged if it can be; items hold price and quantity."""
    subscription_items.require_together(items)
    now = account.now()
    id_ = account.new_id("subscription")
    trial_end = fields.get("trial_end")
    anchor = trial_end or now
    made = [
        subscription_items.new_item(account, id_, item, (now, trial_end) if trial_end else None, anchor)
        for item in items
    ]
    defaults = {
        "id": id_,
        "billing_cycle_anchor": anchor,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": made[0]["price"]["currency"],
        "customer": customer["id"],
        "default_tax_rates": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}, "custom_fields": None}
        | {"description": None, "footer": None},
        "items": of(made, f"/v1/subscription_items?subscription={id_}"),
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": now,
        "status": "trialing" if trial_end else "incomplete",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": now if trial_end else None,
    }
    if fields.get("collection_method") == "send_invoice" and not trial_end:
        defaults["status"] = "active"
    asked = fields.pop("discounts", None) or []
    subscription = account.add("subscription", defaults | fields)
    owner = {"customer": customer["id"], "subscription": id_}
    subscription["discounts"] = discounts.redeem(
        account, asked, owner, subscription["currency"], sum(full_amount(item) for item in made)
    )
    return first_invoice(account, subscription, customer, off_session)


def full_amount(item: Json) -> int:
    """What an item costs for a whole period, before discounts; what is metered is not known yet."""
    if item["price"]["recurring"]["usage_type"] == "metered":
        return 0
    return amounts.amount_of(item["price"], item["quantity"])


def first_invoice(account: Account, subscription: Json, customer: Json, off_session: bool) -> Json:
    """Raise customer.subscription.created, then bill the first period."""
    set_currency(account, customer, subscription["currency"])
    account.change(subscription, {"latest_invoice": account.new_id("invoice")})
    account.emit("customer.subscription.created", subscription)
    invoice = billing.bill(account, subscription, "subscription_create", subscription["items"]["data"])
    if subscription["_"].get("behavior") == "default_incomplete":
        finalization.finalize(account, invoice)
    elif subscription["collection_method"] == "send_invoice":
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


def set_currency(account: Account, customer: Json, currency: str) -> None:
    """The first purchase decides a customer's currency."""
    if customer["currency"] is None:
        account.change(customer, {"currency": currency}, "customer.updated")
