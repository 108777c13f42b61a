"""Subscriptions: from incomplete to canceled, with their items and periods."""

from typing import TYPE_CHECKING, Any

from portal.sandbox import discounting, invoicing, items_due, metering, periods, pricing, trials
from portal.sandbox.lists import of

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]
INCOMPLETE_FOR = 23 * 3600  # seconds that a first payment may take


def start(account: "Account", customer: Json, items: list[Json], fields: Json, off_session: bool = True) -> Json:
    """A new subscription and its first invoice, charged if it can be; items hold price and quantity."""
    now = account.now()
    id_ = account.new_id("subscription")
    trial_end = fields.get("trial_end")
    anchor = trial_end or now
    made = [new_item(account, id_, item, (now, trial_end) if trial_end else None, anchor) for item in items]
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
    subscription["discounts"] = discounting.redeem(account, asked, owner)
    return first_invoice(account, subscription, customer, off_session)


def first_invoice(account: "Account", subscription: Json, customer: Json, off_session: bool) -> Json:
    """Raise customer.subscription.created, then bill the first period."""
    set_currency(account, customer, subscription["currency"])
    account.change(subscription, {"latest_invoice": account.new_id("invoice")})
    account.emit("customer.subscription.created", subscription)
    invoice = bill(account, subscription, "subscription_create", subscription["items"]["data"])
    if subscription["_"].get("behavior") == "default_incomplete":
        invoicing.finalize(account, invoice)
    else:
        invoicing.collect(account, invoice, off_session)
    subscription = account.find("subscription", subscription["id"])
    if subscription["status"] == "incomplete":
        account.at(account.now() + INCOMPLETE_FOR, "lapse", subscription["id"])
    if subscription["trial_end"]:
        trials.announce(account, subscription)
    account.at(period_end(subscription), "renew", subscription["id"])
    return subscription


def set_currency(account: "Account", customer: Json, currency: str) -> None:
    """The first purchase decides a customer's currency."""
    if customer["currency"] is None:
        account.change(customer, {"currency": currency}, "customer.updated")


def new_item(
    account: "Account",
    subscription: str,
    item: Json,
    period: tuple[int, int] | None = None,
    anchor: int | None = None,
) -> Json:
    """An item of a subscription, with its own period."""
    price = item["price"]
    now = account.now()
    start, end = period or periods.containing(anchor or now, price["recurring"], now)
    fields = {
        "billing_thresholds": None,
        "current_period_end": end,
        "current_period_start": start,
        "metadata": item.get("metadata") or {},
        "plan": plan(price),
        "price": price,
        "subscription": subscription,
        "tax_rates": [],
    }
    if price["recurring"]["usage_type"] == "licensed":
        fields["quantity"] = 1 if item.get("quantity") is None else item["quantity"]
    return account.build("subscription_item", fields)


def plan(price: Json) -> Json:
    """The price in the form that older integrations read."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def period_end(subscription: Json) -> int:
    """When the current period ends: the latest of the items'."""
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return max(ends)


def parent(subscription: Json) -> Json:
    """How an invoice names its subscription."""
    named = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"type": "subscription_details", "quote_details": None, "subscription_details": named}


def item_parent(item: Json, proration: bool = False) -> Json:
    """How an invoice's line names its subscription item."""
    named = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    return {"type": "subscription_item_details", "invoice_item_details": None, "subscription_item_details": named}


def bill(account: "Account", subscription: Json, reason: str, items: list[Json]) -> Json:
    """The subscription's latest_invoice as a draft: these items' current period, and what else is pending."""
    customer = account.find("customer", subscription["customer"])
    lines = [period_line(account, subscription, item) for item in items]
    fields = {
        "id": subscription["latest_invoice"],
        "automatic_tax": taxed(subscription),
        "billing_reason": reason,
        "discounts": [one["id"] for one in discounting.running(account, subscription["discounts"])],
        "collection_method": subscription["collection_method"],
        "parent": parent(subscription),
        "period_start": subscription["items"]["data"][0]["current_period_start"],
    }
    extra = items_due.take(account, customer["id"], subscription["currency"], subscription["id"])
    invoice = invoicing.draft(account, customer, subscription["currency"], lines + extra, fields)
    if items and subscription["status"] != "trialing":
        remember_prices(items, invoice)
        discounting.used(account, subscription)
        account.save(subscription)
    return invoice


def taxed(subscription: Json) -> Json:
    """automatic_tax of an invoice: tax is always nought, and always complete."""
    wanted: Json = subscription["automatic_tax"]
    more = (
        {"provider": "stripe", "status": "complete"} if wanted["enabled"] else {"provider": None, "status": None}
    )
    return wanted | more


def remember_prices(items: list[Json], invoice: Json) -> None:
    """What each item's period cost after discounts, so that unused time is credited at what was paid for it."""
    for item, line in zip(items, invoice["lines"]["data"], strict=False):
        off = sum(part["amount"] for part in line["discount_amounts"])
        item["_"] = item.get("_", {}) | {"net": line["amount"] - off}


def period_line(account: "Account", subscription: Json, item: Json) -> Json:
    """The line for one item's current period."""
    fields: Json = {"parent": item_parent(item), "subscription": subscription["id"]}
    if item["price"]["recurring"]["usage_type"] == "metered":
        return usage_line(account, subscription, item, fields)
    period = {"start": item["current_period_start"], "end": item["current_period_end"]}
    if subscription["status"] == "trialing":
        fields |= {"amount": 0, "description": f"Trial period for {_name(account, item)}"}
    return pricing.line(account, item["price"], item.get("quantity", 0), period, fields)


def usage_line(account: "Account", subscription: Json, item: Json, fields: Json) -> Json:
    """The line for what was used in the period that has just ended; there is none before the first."""
    end = item["current_period_start"]
    since = item.get("_", {}).get("since", end)
    meter = account.find("billing.meter", item["price"]["recurring"]["meter"])
    used = metering.used(account, meter, subscription["customer"], since, end)
    exact = {"quantity": int(used), "quantity_decimal": format(used, "f")}
    return pricing.line(account, item["price"], used, {"start": since, "end": end}, fields | exact)


def _name(account: "Account", item: Json) -> str:
    return str(account.find("product", item["price"]["product"])["name"])
