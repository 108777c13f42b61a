"""What a customer agreed to about automatic top-ups, and whether one is due by it."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Select, exists, func, select

from portal import audit, clock
from portal.credits import packages
from portal.customers import locks
from portal.extensions import db
from portal.models import CreditEntry, CreditPackage, Customer, Purchase, TopUpRule
from portal.purchases.items import Item

log = structlog.get_logger()

EVERY = timedelta(minutes=10)
FIRST_WAIT = timedelta(hours=1)  # after a decline; doubled by each further one
SHOWN = 5

# Why a top-up pauses itself, in Stripe's word or ours, as the page and the mail say it.
PAUSED = {
    "authentication_required": "Your bank asks you to confirm the payment, which takes you being there.",
    "declined": "Your card was declined several times.",
    "unclear": "Stripe has not said whether the last one was charged. We look into it.",
    "no_card": "There is no saved card any more.",
    "withdrawn": "The package that it buys is no longer sold.",
    "taken_back": "A payment for credits was refunded or disputed.",
}


@dataclass(frozen=True)
class Terms:
    """What a customer agrees to: below `threshold` credits buy the package, up to `monthly_cap` minor units.

    `amount`, in minor units too, goes with the custom choice alone.
    """

    threshold: int
    package: str
    monthly_cap: int
    amount: int | None = None


def rule_of(customer_id: int) -> TopUpRule | None:
    """The customer's rule; None before they set anything."""
    return db.session.execute(select(TopUpRule).filter_by(customer_id=customer_id)).scalar_one_or_none()


def of_user(user_id: int) -> tuple[Customer | None, TopUpRule | None]:
    """The user's live customer and its rule, each None where there is none yet. One query."""
    query = select(Customer, TopUpRule).outerjoin(TopUpRule, TopUpRule.customer_id == Customer.id)
    row = db.session.execute(query.where(Customer.user_id == user_id, Customer.mode == "live")).one_or_none()
    return (row[0], row[1]) if row else (None, None)


def turn_on(customer_id: int, terms: Terms) -> TopUpRule:
    """Agree to these terms from now on; what paused it before is forgotten. Flushes.

    Raises InvalidInput for a package that is not sold, and an amount that cannot be bought.
    """
    bought = packages.find(terms.package, "live", amount=terms.amount)
    of_key = select(CreditPackage.id).filter_by(key=bought.key, is_custom=False)
    package_id = db.session.execute(of_key).scalar_one_or_none()
    rule = ensure_rule(customer_id)
    rule.enabled, rule.paused_reason = True, None
    rule.threshold, rule.package_id, rule.amount = terms.threshold, package_id, terms.amount
    rule.monthly_cap, rule.consent_at, rule.updated_at = terms.monthly_cap, clock.now(), clock.now()
    db.session.flush()
    audit.record("top_up.turned_on", customer_id=customer_id, after=asdict(terms))
    log.info("top_up_turned_on", customer=customer_id, package=terms.package, monthly_cap=terms.monthly_cap)
    return rule


def turn_off(customer_id: int) -> None:
    """No more top-ups, and the consent ends. Flushes."""
    rule = ensure_rule(customer_id)
    rule.enabled, rule.consent_at, rule.paused_reason, rule.updated_at = False, None, None, clock.now()
    db.session.flush()
    audit.record("top_up.turned_off", customer_id=customer_id)
    log.info("top_up_turned_off", customer=customer_id)


def pause(customer_id: int, reason: str) -> bool:
    """Buy nothing more until the customer turns it on again; False where no rule was running. Flushes.

    `reason` is one of PAUSED.
    """
    rule = rule_of(customer_id)
    if rule is None or not rule.enabled or rule.paused_reason:
        return False
    rule.paused_reason, rule.updated_at = reason, clock.now()
    db.session.flush()
    audit.record("top_up.paused", customer_id=customer_id, after={"reason": reason})
    log.warning("top_up_paused", customer=customer_id, reason=reason)
    return True


def clawed_back(mode: str) -> Select[int]:
    """The customers of a mode whose rule goes on although credits were taken back since they agreed to it."""
    taken = exists().where(
        CreditEntry.customer_id == TopUpRule.customer_id,
        CreditEntry.reason.in_(("refund", "dispute")),
        CreditEntry.created_at > TopUpRule.consent_at,
    )
    query = select(TopUpRule.customer_id).join(Customer, Customer.id == TopUpRule.customer_id)
    return query.where(Customer.mode == mode, TopUpRule.enabled, TopUpRule.paused_reason.is_(None), taken)


def ensure_rule(customer_id: int) -> TopUpRule:
    """The customer's rule, made where there is none. Under the customer's lock, so that there is one."""
    locks.lock(customer_id)
    rule = rule_of(customer_id)
    if rule is None:
        rule = TopUpRule(customer_id=customer_id, updated_at=clock.now())
        db.session.add(rule)
        db.session.flush()
    return rule


def attempts(customer_id: int) -> list[Purchase]:
    """The last top-ups, the newest first."""
    query = select(Purchase).filter_by(customer_id=customer_id, auto=True)
    return list(db.session.execute(query.order_by(Purchase.id.desc()).limit(SHOWN)).scalars())


def open_attempt(customer_id: int) -> Purchase | None:
    """The top-up whose outcome is not known yet."""
    query = select(Purchase).filter_by(customer_id=customer_id, auto=True)
    query = query.where(Purchase.state.in_(("open", "unclear")))
    return db.session.execute(query).scalars().first()


def wanted(customer: Customer, now: datetime) -> Item | None:
    """What to buy now; None while nothing is due: enough credits, too soon, or over the cap."""
    rule = rule_of(customer.id)
    if rule is None or not rule.enabled or rule.paused_reason or rule.consent_at is None:
        return None
    balance = db.session.execute(select(Customer.credit_balance).filter_by(id=customer.id)).scalar_one()
    if balance >= rule.threshold or customer.suspended_at or now < _not_before(customer.id):
        return None
    word = packages.CUSTOM if rule.package_id is None else rule.package_id
    item = packages.find(word, customer.mode, amount=rule.amount)
    return item if charged_this_month(customer.id, now) + item.amount <= rule.monthly_cap else None


def _not_before(customer_id: int) -> datetime:
    """Ten minutes after the last attempt; after declines an hour, then two."""
    tried = attempts(customer_id)
    if not tried:
        return datetime.min.replace(tzinfo=UTC)
    failed = declines(tried)
    return tried[0].created_at + (FIRST_WAIT * (1 << (failed - 1)) if failed else EVERY)


def declines(tried: list[Purchase]) -> int:
    """How many of the newest attempts failed in a row."""
    return next((number for number, one in enumerate(tried) if one.state != "failed"), len(tried))


def charged_this_month(customer_id: int, now: datetime) -> int:
    """What top-ups charged, or are about to, since the 1st (UTC), in minor units."""
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = select(func.coalesce(func.sum(Purchase.amount), 0)).where(
        Purchase.customer_id == customer_id,
        Purchase.auto,
        Purchase.state.in_(("open", "paid", "unclear")),
        Purchase.created_at >= since,
    )
    return int(db.session.execute(query).scalar_one())
