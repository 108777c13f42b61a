"""Changing an active subscription: other prices and quantities."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import CardError, StripeError, missing
from portal.sandbox.domain.invoices import finalization
from portal.sandbox.domain.pricing import currencies, periods, tiers
from portal.sandbox.domain.subscriptions import (
    billing,
    pauses,
    pending_updates,
    prorations,
    subscription_items,
    trials,
)

Json = dict[str, Any]

UPDATED = "customer.subscription.updated"


def item_of(account: Account, id_: str) -> tuple[Json, Json]:
    """Return an item and its subscription. Raises StripeError."""
    has = "EXISTS (SELECT 1 FROM json_each(objects.json, '$.items.data') WHERE json_extract(value, '$.id') = ?)"
    for subscription in account.store.select(account.mode, "subscription", has, id_):
        account.follow_clock(subscription)
        return subscription, next(i for i in subscription["items"]["data"] if i["id"] == id_)
    raise missing("subscription_item", id_)


def change(account: Account, subscription: Json, items: list[Json], changes: Json, params: Json) -> Json:
    """Change a subscription, prorate, and bill that now if it is due. Raises StripeError."""
    behavior = params.get("payment_behavior")
    if behavior == "pending_if_incomplete":
        pending_updates.require_supported(account, subscription)
    plan = planned(account, subscription, items, params)
    if behavior == "pending_if_incomplete" and plan.bills:
        invoice = draft(account, subscription, plan, params)
        pending_updates.attempt(account, subscription, invoice, changes | plan.fields)
        return account.find("subscription", subscription["id"])
    write(account, subscription, plan, changes)
    if plan.bills:
        invoice = draft(account, subscription, plan, params)
        collect(account, subscription, invoice, behavior)
    else:
        prorations.prorate(account, subscription, plan, params.get("proration_date"))
    return account.find("subscription", subscription["id"])


def planned(account: Account, subscription: Json, items: list[Json], params: Json) -> prorations.Plan:
    """Return what a change would do. Raises StripeError."""
    before = subscription["items"]["data"]
    require_within(before, params.get("proration_date"))
    after = items_after(account, subscription, items)
    behavior = params.get("proration_behavior") or "create_prorations"
    trialing = subscription["status"] == "trialing"
    if trialing and params.get("trial_end") == "now":
        return ended_trial(account, subscription, after)
    if isinstance(params.get("trial_end"), int):
        return moved_trial(account, subscription, after, params["trial_end"], behavior != "none")
    anew = params.get("billing_cycle_anchor") == "now" or restarts(before, after, subscription["currency"])
    running = subscription["status"] in ("active", "past_due")
    fields: Json = {}
    if anew and running:
        after = [restarted(account, item, account.now()) for item in after]
        fields |= subscription_items.anchored(account)
    if after != before:
        fields["items"] = subscription["items"] | {"data": after}
    owing = running and list(map(prorations.terms, after)) != list(map(prorations.terms, before))
    return prorations.Plan(
        before,
        after,
        fields,
        prorates=owing and behavior != "none",
        bills=owing and (anew or behavior == "always_invoice"),
        periods=after if anew else [],
    )


def require_within(items: list[Json], moment: int | None) -> None:
    """Raise StripeError for a proration_date outside of the current period."""
    start, end = min(i["current_period_start"] for i in items), max(i["current_period_end"] for i in items)
    if moment is not None and not start <= moment <= end:
        words = "Cannot specify a proration date outside of the current period"
        raise StripeError(f"{words} ({start} - {end}).", param="proration_date")


def ended_trial(account: Account, subscription: Json, after: list[Json]) -> prorations.Plan:
    """End a trial now: the first paid period begins, unless there is no payment method."""
    now = account.now()
    if trials.outcome(account, subscription) != "create_invoice":
        fields = {"trial_end": now, "items": subscription["items"] | {"data": after}}
        return prorations.Plan(after, after, fields, prorates=False, bills=False, periods=[])
    after = [beginning(account, item) for item in after]
    fields = {"status": "active", "trial_end": now} | subscription_items.anchored(account)
    fields["items"] = subscription["items"] | {"data": after}
    return prorations.Plan(after, after, fields, prorates=False, bills=True, periods=after)


def moved_trial(
    account: Account, subscription: Json, after: list[Json], ends: int, prorates: bool
) -> prorations.Plan:
    """Move the end of a trial; one that begins in a paid period credits the rest of that.

    https://docs.stripe.com/billing/subscriptions/trials
    """
    trialing = subscription["status"] == "trialing"
    now = account.now()
    fresh: Json = {} if trialing else {"current_period_start": now, "_": {}}
    after = [item | fresh | {"current_period_end": ends} for item in after]
    fields = {"status": "trialing", "trial_end": ends, "billing_cycle_anchor": ends}
    fields |= {
        "trial_start": subscription["trial_start"] if trialing else now,
        "billing_cycle_anchor_config": None,
    }
    fields["items"] = subscription["items"] | {"data": after}
    before = after if trialing else subscription["items"]["data"]
    return prorations.Plan(before, after, fields, not trialing and prorates, not trialing, after)


def write(account: Account, subscription: Json, plan: prorations.Plan, changes: Json) -> None:
    """Apply the change; a trial that ends without a card pauses or ends the subscription."""
    account.change(subscription, changes | plan.fields, UPDATED)
    if "items" in plan.fields:
        account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    if subscription["status"] == "trialing" and "trial_end" in plan.fields:
        trials.announce(account, subscription)
    ended = subscription["status"] == "trialing" and subscription["trial_end"] <= account.now()
    if ended and trials.outcome(account, subscription) == "pause":
        pauses.pause(account, subscription, "trial_end_without_payment_method")


def draft(account: Account, subscription: Json, plan: prorations.Plan, params: Json) -> Json:
    """Draft the invoice of a change that is billed immediately."""
    prorations.prorate(account, subscription, plan, params.get("proration_date"))
    account.change(subscription, {"latest_invoice": account.new_id("invoice")}, UPDATED)
    return billing.bill(account, subscription, "subscription_update", plan.periods)


def collect(account: Account, subscription: Json, invoice: Json, behavior: str | None) -> None:
    """Charge the invoice of a change according to payment_behavior. Raises CardError for error_if_incomplete."""
    if behavior == "default_incomplete":
        opened = finalization.finalize(account, invoice)
        if opened["status"] == "open":
            found = account.find("subscription", subscription["id"])
            account.change(found, {"status": "past_due"}, UPDATED)
        return
    done = finalization.collect(account, invoice)
    if behavior == "error_if_incomplete" and done["status"] == "open":
        raise undone()


def undone() -> CardError:
    """Return the error of a change whose payment failed, which is rolled back."""
    error = CardError("Your card was declined.", code="card_declined", decline_code="generic_decline")
    error.keeps = False
    return error


def restarts(before: list[Json], after: list[Json], currency: str) -> bool:
    """Return whether a change begins a new billing cycle: another interval, or from free to paid."""
    pairs = [(b, a) for b in before for a in after if a["id"] == b["id"]]
    return any(interval(b) != interval(a) or (_price(b, currency) == 0 < _price(a, currency)) for b, a in pairs)


def interval(item: Json) -> tuple[str, int]:
    """Return how often an item is charged."""
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def _price(item: Json, currency: str) -> Decimal:
    metered = item["price"]["recurring"]["usage_type"] == "metered"
    return Decimal(1) if metered else tiers.exact(currencies.within(item["price"], currency), item["quantity"])


def beginning(account: Account, item: Json) -> Json:
    """Return an item with a period that begins now."""
    now = account.now()
    return item | {
        "current_period_start": now,
        "current_period_end": periods.boundary(now, item["price"]["recurring"], 1),
    }


def restarted(account: Account, item: Json, start: int) -> Json:
    """Return a paid item with a period that begins at a time; what it used before is billed with that."""
    hidden = item.get("_", {})
    used = {"since": item["current_period_start"], "billed": hidden.get("billed_early")}
    return beginning(account, item) | {"current_period_start": start, "_": hidden | used}


def items_after(account: Account, subscription: Json, items: list[Json]) -> list[Json]:
    """Return the items after the change. Raises StripeError for an unknown id."""
    kept = [dict(item) for item in subscription["items"]["data"]]
    for wanted in items:
        place = next((n for n, item in enumerate(kept) if item["id"] == wanted.get("id")), None)
        if wanted.get("id") and place is None:
            raise missing("subscription_item", wanted["id"], "items[0][id]")
        if place is None:
            anchor = subscription["billing_cycle_anchor"]
            kept.append(subscription_items.new_item(account, subscription["id"], wanted, anchor=anchor))
        elif wanted.get("deleted"):
            kept.pop(place)
            continue
        else:
            kept[place] = changed_item(kept[place], wanted)
        if "discounts" in wanted:
            subscription_items.discount(
                account, subscription, kept[-1 if place is None else place], wanted["discounts"]
            )
    if kept:
        subscription_items.require_together(kept, subscription["currency"])
    return kept


def changed_item(item: Json, wanted: Json) -> Json:
    """Return an item with another price or quantity."""
    price: Json = wanted.get("price") or item["price"]
    made = item | {"price": price, "plan": subscription_items.plan(price)}
    if wanted.get("quantity") is not None:
        made["quantity"] = wanted["quantity"]
    if wanted.get("tax_rates") is not None:
        made["tax_rates"] = wanted["tax_rates"]
    if wanted.get("metadata"):
        made["metadata"] = {name: text for name, text in (item["metadata"] | wanted["metadata"]).items() if text}
    if "billing_thresholds" in wanted:
        made["billing_thresholds"] = wanted["billing_thresholds"]
    if (made["price"], made.get("quantity")) != (item["price"], item.get("quantity")):
        made["_"] = {name: value for name, value in item.get("_", {}).items() if name != "net"}
    return made
