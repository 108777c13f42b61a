"""Changing a running subscription: other prices and quantities, with what is owed for the rest of the period."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from portal.sandbox import (
    discounting,
    invoicing,
    items_due,
    pausing,
    pending,
    periods,
    pricing,
    subscribing,
    trials,
)
from portal.sandbox.errors import CardError, missing

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"


@dataclass(frozen=True)
class Plan:
    """A change before it is made: the items, the fields to write, what to prorate and what to bill at once.

    bills: whether an invoice is due now · periods: the items whose new period is on it.
    """

    before: list[Json]
    after: list[Json]
    fields: Json
    prorates: bool
    bills: bool
    periods: list[Json]


def item_of(account: "Account", id_: str) -> tuple[Json, Json]:
    """The subscription that has an item, and the item. Raises StripeError."""
    has = "EXISTS (SELECT 1 FROM json_each(objects.json, '$.items.data') WHERE json_extract(value, '$.id') = ?)"
    for subscription in account.store.select(account.mode, "subscription", has, id_):
        return subscription, next(i for i in subscription["items"]["data"] if i["id"] == id_)
    raise missing("subscription_item", id_)


def change(account: "Account", subscription: Json, items: list[Json], changes: Json, params: Json) -> Json:
    """Write changes to a subscription, prorate them, and bill that now if it is due. Raises StripeError."""
    behavior = params.get("payment_behavior")
    plan = planned(account, subscription, items, params)
    if behavior == "pending_if_incomplete" and plan.bills:
        invoice = draft(account, subscription, plan, params)
        pending.attempt(account, subscription, invoice, changes | plan.fields)
        return account.find("subscription", subscription["id"])
    write(account, subscription, plan, changes)
    if plan.bills:
        invoice = draft(account, subscription, plan, params)
        collect(account, subscription, invoice, behavior)
    else:
        prorate(account, subscription, plan, params.get("proration_date"))
    return account.find("subscription", subscription["id"])


def planned(account: "Account", subscription: Json, items: list[Json], params: Json) -> Plan:
    """What a change would do. Raises StripeError."""
    before = subscription["items"]["data"]
    after = items_after(account, subscription, items)
    behavior = params.get("proration_behavior") or "create_prorations"
    trialing = subscription["status"] == "trialing"
    if trialing and params.get("trial_end") == "now":
        return ended_trial(account, subscription, after)
    anew = params.get("billing_cycle_anchor") == "now" or restarts(before, after)
    running = subscription["status"] in ("active", "past_due")
    fields: Json = {}
    if anew and running:
        after = [beginning(account, item) for item in after]
        fields["billing_cycle_anchor"] = account.now()
    if after != before:
        fields["items"] = subscription["items"] | {"data": after}
    owing = running and after != before
    return Plan(
        before,
        after,
        fields,
        prorates=owing and behavior != "none",
        bills=owing and (anew or behavior == "always_invoice"),
        periods=after if anew else [],
    )


def ended_trial(account: "Account", subscription: Json, after: list[Json]) -> Plan:
    """A trial that is ended by hand: the first paid period begins now, unless there is nothing to pay with."""
    now = account.now()
    if trials.outcome(account, subscription) != "create_invoice":
        fields = {"trial_end": now, "items": subscription["items"] | {"data": after}}
        return Plan(after, after, fields, prorates=False, bills=False, periods=[])
    after = [beginning(account, item) for item in after]
    fields = {"status": "active", "trial_end": now, "billing_cycle_anchor": now}
    fields["items"] = subscription["items"] | {"data": after}
    return Plan(after, after, fields, prorates=False, bills=True, periods=after)


def write(account: "Account", subscription: Json, plan: Plan, changes: Json) -> None:
    """Make the change itself; a trial that ends without a card stops the subscription."""
    account.change(subscription, changes | plan.fields, UPDATED)
    ended = subscription["status"] == "trialing" and subscription["trial_end"] <= account.now()
    if ended and trials.outcome(account, subscription) == "pause":
        pausing.pause(account, subscription, "trial_end_without_payment_method")


def draft(account: "Account", subscription: Json, plan: Plan, params: Json) -> Json:
    """The invoice for a change that is billed at once."""
    prorate(account, subscription, plan, params.get("proration_date"))
    account.change(subscription, {"latest_invoice": account.new_id("invoice")}, UPDATED)
    return subscribing.bill(account, subscription, "subscription_update", plan.periods)


def collect(account: "Account", subscription: Json, invoice: Json, behavior: str | None) -> None:
    """Charge the invoice of a change as payment_behavior says. Raises CardError for error_if_incomplete."""
    if behavior == "default_incomplete":
        opened = invoicing.finalize(account, invoice)
        if opened["status"] == "open":
            found = account.find("subscription", subscription["id"])
            account.change(found, {"status": "past_due"}, UPDATED)
        return
    done = invoicing.collect(account, invoice)
    if behavior == "error_if_incomplete" and done["status"] == "open":
        raise undone()


def undone() -> CardError:
    """The refusal of a change whose payment failed, with nothing left of it."""
    error = CardError("Your card was declined.", code="card_declined", decline_code="generic_decline")
    error.keeps = False
    return error


def restarts(before: list[Json], after: list[Json]) -> bool:
    """Whether a change begins a new billing cycle: another interval, or from free to paid."""
    pairs = [(b, a) for b in before for a in after if a["id"] == b["id"]]
    return any(interval(b) != interval(a) or (_price(b) == 0 < _price(a)) for b, a in pairs)


def interval(item: Json) -> tuple[str, int]:
    """How often an item is charged."""
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def _price(item: Json) -> Decimal:
    metered = item["price"]["recurring"]["usage_type"] == "metered"
    return Decimal(1) if metered else Decimal(item["price"]["unit_amount_decimal"] or 0)


def beginning(account: "Account", item: Json) -> Json:
    """An item with a period that begins now."""
    now = account.now()
    return item | {
        "current_period_start": now,
        "current_period_end": periods.boundary(now, item["price"]["recurring"], 1),
    }


def items_after(account: "Account", subscription: Json, items: list[Json]) -> list[Json]:
    """The items as they will be. Raises StripeError for an id that isn't one of them."""
    kept = [dict(item) for item in subscription["items"]["data"]]
    for wanted in items:
        place = next((n for n, item in enumerate(kept) if item["id"] == wanted.get("id")), None)
        if wanted.get("id") and place is None:
            raise missing("subscription_item", wanted["id"], "items[0][id]")
        if place is None:
            anchor = subscription["billing_cycle_anchor"]
            kept.append(subscribing.new_item(account, subscription["id"], wanted, anchor=anchor))
        elif wanted.get("deleted"):
            kept.pop(place)
        else:
            kept[place] = changed_item(kept[place], wanted)
    return kept


def changed_item(item: Json, wanted: Json) -> Json:
    """An item with another price or quantity."""
    price: Json = wanted.get("price") or item["price"]
    made = item | {"price": price, "plan": subscribing.plan(price)}
    if wanted.get("quantity") is not None:
        made["quantity"] = wanted["quantity"]
    if (made["price"], made.get("quantity")) != (item["price"], item.get("quantity")):
        made["_"] = {name: value for name, value in item.get("_", {}).items() if name != "net"}
    return made


def prorate(account: "Account", subscription: Json, plan: Plan, moment: int | None = None) -> None:
    """Credit the unused time of what was, charge the remaining time of what is, as of a moment (default: now).

    An item that begins a new period is charged for all of it on the invoice itself.
    """
    if not plan.prorates:
        return
    old, new = {i["id"]: i for i in plan.before}, {i["id"]: i for i in plan.after}
    charged = {} if plan.periods else new
    for id_ in [*old, *(id_ for id_ in new if id_ not in old)]:
        if old.get(id_) == new.get(id_):
            continue
        for items, sign in ((old, -1), (charged, 1)):
            if id_ in items:
                add_part(account, subscription, items[id_], sign, moment or account.now())


def add_part(account: "Account", subscription: Json, item: Json, sign: int, moment: int) -> None:
    """An invoice item for the rest of an item's period; usage is billed as it was, never in parts."""
    if item["price"]["recurring"]["usage_type"] == "metered":
        return
    customer = account.find("customer", subscription["customer"])
    owed = part_of_period(account, subscription, item, sign, moment)
    items_due.add(account, customer, item["price"], item["quantity"], owed)


def full_price(account: "Account", subscription: Json, item: Json, credit: bool) -> Decimal:
    """An item's whole period after discounts: what was paid for it, or what it costs now."""
    paid = item.get("_", {}).get("net")
    if credit and paid is not None:
        return Decimal(paid)
    exact: Decimal = Decimal(item["price"]["unit_amount_decimal"] or 0) * item["quantity"]
    if not subscription["discounts"]:
        return exact
    return Decimal(discounting.net(account, subscription, item, discounting.half_up(exact)))


def part_of_period(account: "Account", subscription: Json, item: Json, sign: int, moment: int) -> Json:
    """What the rest of an item's period is worth, as the fields of an invoice item."""
    start, end = item["current_period_start"], item["current_period_end"]
    left = Decimal(max(0, end - max(moment, start))) / max(1, end - start)
    exact = full_price(account, subscription, item, credit=sign < 0) * left
    named = {"subscription": subscription["id"], "subscription_item": item["id"]}
    words = f"{'Remaining' if sign > 0 else 'Unused'} time on {pricing.counted(account, item)}"
    return {
        "amount": sign * int(exact.quantize(Decimal(1), ROUND_HALF_UP)),
        "description": f"{words} after {pricing.day(moment)}",
        "discountable": False,
        "parent": {"type": "subscription_details", "subscription_details": named},
        "period": {"start": moment, "end": end},
        "proration": True,
    }
