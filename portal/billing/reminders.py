"""What is told before it happens, by the customer's own clock: a trial that ends, a card that expires."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, String, and_, cast, exists, false, literal, or_, select

from portal import clock, mail, money
from portal.billing import banners, words
from portal.billing.banners import TRIAL_ENDS_SOON
from portal.extensions import db
from portal.models import Customer, OutboxMail, Plan, Subscription

# By the few customers first, rather than by all subscriptions.
ON_A_CLOCK = Subscription.customer_id.in_(select(Customer.id).where(Customer.clock_at.is_not(None)))
TOGETHER = 1000  # mails of one kind that one run queues

Running = Row[Subscription, Customer]
Due = dict[str, tuple[str, Running]]  # by the mail's key: its template, and whom it is for


def run() -> int:
    """The tick's chore: mail what is due and was not said before; gives how many. Commits."""
    due: Due = _trials() | _cards()
    unsaid = mail.unsaid(due)
    plans = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()} if unsaid else {}
    for key in unsaid:
        template, (subscription, customer) = due[key]
        facts = _facts(subscription) | {"plan": words.name(subscription, plans)}
        mail.tell(customer, template, key, page=mail.external("billing.overview"), **facts)
    db.session.commit()
    return len(unsaid)


def _facts(subscription: Subscription) -> dict[str, Any]:
    return {
        "amount": subscription.amount,
        "currency": subscription.currency,
        "how_often": money.every(subscription.interval, subscription.interval_count),
        "ends_at": subscription.trial_end.isoformat() if subscription.trial_end else None,
        "has_card": subscription.card is not None,
        "brand_of_card": (subscription.card_brand or "").capitalize(),
        "last4": subscription.card_last4,
        "exp_month": subscription.card_exp_month,
        "exp_year": subscription.card_exp_year,
    }


def _trials() -> Due:
    """Trials that end within three days, and go on: one that was cancelled brings no payment."""
    now = clock.now()
    going_on = _running().where(Subscription.status == "trialing", Subscription.cancel_at.is_(None))
    soon = going_on.where(Subscription.trial_end > now, Subscription.trial_end <= now + TRIAL_ENDS_SOON)
    found = {}
    for row in (*_rows(soon.where(Customer.clock_at.is_(None))), *_rows(going_on.where(ON_A_CLOCK))):
        ends, now = row[0].trial_end, clock.now(row[1].clock_at)
        if ends is not None and now < ends <= now + TRIAL_ENDS_SOON:
            found[f"trial-ending:{row[0].stripe_id}:{ends:%Y%m%d}"] = ("trial_ending", row)
    return found


def _cards() -> Due:
    """Cards in their last month that pay something; a card is named by what its owner sees of it."""
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


def _told_of_card() -> ColumnElement[bool]:
    """Whether a card's mail was queued before, by the same key as below."""
    parts = (
        cast(Subscription.customer_id, String) + ":" + Subscription.card_brand + ":" + Subscription.card_last4,
        ":" + cast(Subscription.card_exp_year, String) + "-" + cast(Subscription.card_exp_month, String),
    )
    return exists().where(OutboxMail.key == literal("card-expiring:") + parts[0] + parts[1])


def _running() -> Any:
    joined = select(Subscription, Customer).join(Customer, Customer.id == Subscription.customer_id)
    return joined.where(Subscription.ended_at.is_(None), Subscription.status != "incomplete")


def _rows(query: Any) -> Sequence[Running]:
    return db.session.execute(query.order_by(Subscription.id)).all()
