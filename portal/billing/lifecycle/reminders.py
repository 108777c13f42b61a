"""Reminders about a trial that ends or a card that expires, by the customer's own clock."""

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, String, and_, cast, exists, false, func, literal, or_, select

from portal import clock, mail
from portal.billing.status import banners, labels
from portal.billing.status.banners import TRIAL_ENDS_SOON
from portal.billing.upcoming import previews, prices, terms
from portal.errors import StripeUnavailable
from portal.extensions import db
from portal.models import Customer, OutboxMail, Plan, Subscription, SubscriptionStatus

log = structlog.get_logger()

# Starts from the few customers instead of all subscriptions.
ON_A_CLOCK = Subscription.customer_id.in_(select(Customer.id).where(Customer.clock_at.is_not(None)))
TOGETHER = 1000  # mails of one kind queued per run
ASKED = 50  # previews per run

Running = Row[Subscription, Customer]
Due = dict[str, tuple[str, Running]]  # by the mail's key: its template and recipient


def run() -> int:
    """Scheduled task: send due reminders that were not sent before, and return how many. Commits.

    What the end of a trial costs is asked of Stripe. If it does not answer, that mail waits for the next run.
    """
    due: Due = _trials() | _cards()
    unsaid = mail.unsaid(due)
    db.session.commit()
    first_payments = _first_payments({key: due[key][1][0] for key in unsaid if due[key][0] == "trial_ending"})
    told = [key for key in unsaid if due[key][0] != "trial_ending" or key in first_payments]
    plans = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()} if told else {}
    for key in told:
        template, (subscription, customer) = due[key]
        facts = _facts(subscription, first_payments.get(key)) | {"plan": labels.name(subscription, plans)}
        mail.tell(customer, template, key, page=mail.external("billing.overview"), **facts)
    db.session.commit()
    return len(told)


def _first_payments(ending: dict[str, Subscription]) -> dict[str, int | None]:
    """Return what each trial's end charges, by the mail's key; None if Stripe cannot calculate it."""
    found: dict[str, int | None] = {}
    try:
        for key, subscription in list(ending.items())[:ASKED]:
            found[key] = previews.amount(subscription)
    except StripeUnavailable as reason:
        log.warning("trial_mails_wait", reason=reason.code)
    return found


def _facts(subscription: Subscription, first_payment: int | None) -> dict[str, Any]:
    return {
        "amount": first_payment,
        "currency": subscription.currency,
        "price": prices.all_of(subscription),
        "ends_at": subscription.trial_end.isoformat() if subscription.trial_end else None,
        "has_card": not terms.needs_method(subscription),
        "sent": terms.is_sent(subscription),
        "without": terms.without_method(subscription),
        "brand_of_card": (subscription.card_brand or "").capitalize(),
        "last4": subscription.card_last4,
        "exp_month": subscription.card_exp_month,
        "exp_year": subscription.card_exp_year,
    }


def _trials() -> Due:
    """Return trials that end within three days and continue as paid plans. A cancelled one is not charged."""
    now = clock.now()
    going_on = _running().where(
        Subscription.status == SubscriptionStatus.TRIALING, Subscription.cancel_at.is_(None)
    )
    soon = going_on.where(Subscription.trial_end > now, Subscription.trial_end <= now + TRIAL_ENDS_SOON)
    soon = soon.where(Customer.clock_at.is_(None), ~_told_of_trial())
    found = {}
    for row in (*_rows(soon.limit(TOGETHER)), *_rows(going_on.where(ON_A_CLOCK))):
        ends, now = row[0].trial_end, clock.now(row[1].clock_at)
        if ends is not None and now < ends <= now + TRIAL_ENDS_SOON:
            found[f"trial-ending:{row[0].stripe_id}:{ends:%Y%m%d}"] = ("trial_ending", row)
    return found


def _cards() -> Due:
    """Return cards that pay for something and are in their last month. A card is identified by what its owner
    sees of it.
    """
    now = clock.now()
    after = (now.year + now.month // 12, now.month % 12 + 1)
    months = [
        and_(Subscription.card_exp_year == year, Subscription.card_exp_month == month)
        for year, month in ((now.year, now.month), after)
        if banners.ends_soon(year, month, now)
    ]
    soon = _running().where(or_(false(), *months), Customer.clock_at.is_(None), ~_told_of_card())
    found = {}
    for row in (*_rows(soon.limit(TOGETHER)), *_rows(_running().where(ON_A_CLOCK))):
        card = row[0].card
        if card and banners.expires_soon(card, clock.now(row[1].clock_at)):
            name = f"{row[1].id}:{card.brand}:{card.last4}:{card.exp_year}-{card.exp_month}"
            found[f"card-expiring:{name}"] = ("card_expiring", row)
    return found


def _told_of_trial() -> ColumnElement[bool]:
    """Return the condition that a trial's mail was queued before, with the same key as above."""
    if db.engine.dialect.name == "postgresql":
        day = func.to_char(func.timezone("UTC", Subscription.trial_end), "YYYYMMDD")
    else:
        day = func.strftime("%Y%m%d", Subscription.trial_end)
    return exists().where(OutboxMail.key == literal("trial-ending:") + Subscription.stripe_id + ":" + day)


def _told_of_card() -> ColumnElement[bool]:
    """Return the condition that a card's mail was queued before, with the same key as below."""
    parts = (
        cast(Subscription.customer_id, String) + ":" + Subscription.card_brand + ":" + Subscription.card_last4,
        ":" + cast(Subscription.card_exp_year, String) + "-" + cast(Subscription.card_exp_month, String),
    )
    return exists().where(OutboxMail.key == literal("card-expiring:") + parts[0] + parts[1])


def _running() -> Any:
    joined = select(Subscription, Customer).join(Customer, Customer.id == Subscription.customer_id)
    return joined.where(Subscription.ended_at.is_(None), Subscription.status != SubscriptionStatus.INCOMPLETE)


def _rows(query: Any) -> Sequence[Running]:
    return db.session.execute(query.order_by(Subscription.id)).all()
