"""Everything that will be charged to a customer, as one list: dates and amounts as Stripe says them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import url_for

from portal import money
from portal.billing.plan_change import slow_payments
from portal.billing.price_changes import words
from portal.billing.status import labels
from portal.billing.upcoming import next_invoice, prices
from portal.billing.upcoming.drafts import Draft, Start
from portal.billing.upcoming.mine import Mine
from portal.models import Invoice, Plan, Subscription
from portal.web.pages import date_text


@dataclass(frozen=True)
class Charge:
    """One line of the list. `at` is None for what is due now, or for what has no date of its own.

    `amount` is None if it is not known; `notes` then say why.
    """

    what: str
    at: datetime | None
    amount: int | None
    currency: str
    when: str = ""  # words instead of a date
    notes: list[str] = field(default_factory=list)
    action_url: str | None = None
    action_label: str | None = None
    is_sure: bool = True  # false: a limit or a forecast, not what is charged


def of(mine: Mine, now: datetime) -> list[Charge]:
    """List the charges: what is open first, then by date, then what has none."""
    by_tier = {plan.tier: plan for plan in mine.plans}
    unpaid = list(_open(mine, by_tier))
    dated = [*_drafts(mine, by_tier), *_renewals(mine, by_tier), *_starts(mine), *_usage(mine, now)]
    return [*unpaid, *sorted(dated, key=lambda one: one.at or now), *_top_up(mine)]


def _open(mine: Mine, by_tier: Mapping[str, Plan]) -> Iterator[Charge]:
    """Yield the invoices that can be paid now, whoever made them, oldest first."""
    on_their_way = slow_payments.invoices_on_their_way(mine.subscriptions.values())
    for invoice in reversed([one for one in mine.invoices if one.status.is_open and one.amount_remaining]):
        is_on_its_way = invoice.stripe_id in on_their_way
        label = "Confirm payment" if invoice.needs_action else "Pay now"
        yield Charge(
            what=_of_invoice(invoice.subscription_id, invoice.description, mine, by_tier),
            at=None,
            amount=invoice.amount_remaining,
            currency=invoice.currency,
            when="On its way from your bank" if is_on_its_way else _due(invoice),
            notes=[f"Invoice {invoice.number}"] if invoice.number else [],
            action_url=None if is_on_its_way else invoice.hosted_url,
            action_label=label,
        )


def _due(invoice: Invoice) -> str:
    """Return when an open invoice is to be paid."""
    if invoice.next_attempt_at:
        return f"Due now. We try your payment method again on {date_text(invoice.next_attempt_at)}"
    if invoice.due_at:
        return f"Due by {date_text(invoice.due_at)}"
    return "Due now"


def _drafts(mine: Mine, by_tier: Mapping[str, Plan]) -> Iterator[Charge]:
    """Yield the invoices that Stripe is preparing, which a preview no longer contains."""
    for one in map(Draft.read, _upcoming(mine, "drafts")):
        what = _of_invoice(one.subscription, one.description, mine, by_tier)
        notes = ["Sent to you by email"] if one.sent else []
        yield Charge(what, one.at, one.amount, one.currency, notes=notes)


def _starts(mine: Mine) -> Iterator[Charge]:
    """Yield the subscriptions that begin later."""
    for one in map(Start.read, _upcoming(mine, "starts")):
        notes = ["Starts on this date", *([] if one.amount is not None else [next_invoice.UNKNOWN])]
        yield Charge(one.name, one.at, one.amount, one.currency, notes=notes)


def _upcoming(mine: Mine, kind: str) -> Iterator[dict[str, Any]]:
    """Yield what Stripe said about this customer within the last five minutes."""
    for name in mine.named.names:
        if next_invoice.is_fresh(name.asked_at):
            yield from name.upcoming.get(kind, ())


def _of_invoice(subscription_id: str | None, description: str, mine: Mine, by_tier: Mapping[str, Plan]) -> str:
    found = next((one for one in mine.subscriptions if one.stripe_id == subscription_id), None)
    return labels.name(found, by_tier) if found else description or "Invoice"


def _renewals(mine: Mine, by_tier: Mapping[str, Plan]) -> Iterator[Charge]:
    """Yield each subscription's next invoice, and what is scheduled after it."""
    for subscription in mine.subscriptions:
        coming = next_invoice.of(subscription, mine.asked_at(subscription))
        name = labels.name(subscription, by_tier)
        if coming is not None and not (subscription.is_usage and not coming.amount):
            yield Charge(name, coming.at, coming.amount, coming.currency, notes=coming.notes)
        changes_at = subscription.next_at
        if changes_at and not subscription.cancel_at and (coming is None or changes_at > coming.at):
            then = labels.plan_name(subscription.next_tier, by_tier.get(subscription.next_tier or ""))
            price = prices.coming(subscription)
            yield Charge(f"{name} changes to {then}", changes_at, None, subscription.currency, notes=[price])
        yield from _other_price(subscription, name)


def _other_price(subscription: Subscription, name: str) -> Iterator[Charge]:
    """Yield the change of a price, where it is not a part of the next invoice."""
    change = words.of(subscription)
    if change is None or (at := words.at(subscription, change)) == subscription.current_period_end:
        return
    when = "" if at else words.when(subscription, change).capitalize()
    note = words.price(subscription, change)
    yield Charge(f"{name} changes its price", at, None, subscription.currency, when, notes=[note])


def _usage(mine: Mine, now: datetime) -> Iterator[Charge]:
    """Yield the usage of this month, with what it comes to at this pace."""
    used = mine.usage
    if used is None or not (mine.named.agreement or used.amount):
        return
    forecast = used.forecast(now)
    pace = f"; about {money.text(forecast.amount, used.currency)} at this pace" if used.amount else ""
    notes = [f"Usage in {used.month.words} so far{pace}"]
    chosen = mine.named.usage_settings
    if chosen and chosen.credits_first:
        notes.append("Your credits pay first")
    yield Charge(
        "Pay as you go",
        used.month.end,
        used.amount,
        used.currency,
        notes=notes,
        action_url=url_for("usage.index"),
        action_label="See usage",
        is_sure=False,
    )


def _top_up(mine: Mine) -> Iterator[Charge]:
    """Yield the cap of automatic top-ups."""
    rule, package = mine.named.rule, mine.named.package
    if rule is None or not rule.enabled or rule.paused_reason:
        return
    currency = package.currency if package else mine.usage.currency if mine.usage else "usd"
    each = package.amount if package else rule.amount
    notes = [f"{money.text(each, currency)} each time"] if each is not None else []
    yield Charge(
        "Automatic top-ups",
        None,
        rule.monthly_cap,
        currency,
        when=f"When your balance falls below {rule.threshold:,} credits",
        notes=[*notes, "At most this amount in a calendar month"],
        action_url=url_for("credits.index"),
        action_label="Change",
        is_sure=False,
    )
