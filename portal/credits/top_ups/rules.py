"""The terms that a customer agreed to for automatic top-ups, and whether one is due."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Select, exists, func, select

from portal import audit, clock
from portal.catalogue import packages
from portal.catalogue.items import Item
from portal.credits import thresholds
from portal.enums import Mode
from portal.extensions import db
from portal.models import CreditEntry, CreditPackage, Customer, Order, OrderState, TopUpRule
from portal.sync import locks

log = structlog.get_logger()

EVERY = timedelta(minutes=10)
CALL_LIVES = timedelta(minutes=1)  # longer than any call to Stripe with its retries
FIRST_WAIT = timedelta(hours=1)  # after a decline; doubled by each further decline
OVER_THE_CAP = timedelta(days=1)  # a package may cost less by then
SHOWN = 5

# Why a top-up pauses itself, by Stripe's code or ours, as the page and the mail say it.
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
    """The terms that a customer agrees to: below `threshold` credits, buy the package, up to `monthly_cap` minor
    units.

    `amount`, also in minor units, applies only to a custom amount.
    """

    threshold: int
    package: str
    monthly_cap: int
    amount: int | None = None


def rule_of(customer_id: int) -> TopUpRule | None:
    """Return the customer's rule; None before they set anything."""
    return db.session.execute(select(TopUpRule).filter_by(customer_id=customer_id)).scalar_one_or_none()


def of_user(user_id: int) -> tuple[Customer | None, TopUpRule | None]:
    """Return the user's live customer and its rule, each None if it does not exist yet. Runs one query."""
    query = select(Customer, TopUpRule).outerjoin(TopUpRule, TopUpRule.customer_id == Customer.id)
    row = db.session.execute(query.where(Customer.user_id == user_id, Customer.mode == Mode.LIVE)).one_or_none()
    return (row[0], row[1]) if row else (None, None)


def turn_on(customer_id: int, terms: Terms) -> TopUpRule:
    """Agree to these terms from now on, and clear an earlier pause. Flushes.

    A form that is sent twice changes nothing the second time, unless the rule has paused meanwhile.

    Raises InvalidInput for a package that is not sold, and for an amount that cannot be bought; Archived.
    """
    bought = packages.find(terms.package, Mode.LIVE, amount=terms.amount)
    of_key = select(CreditPackage.id).filter_by(key=bought.key, is_custom=False)
    package_id = db.session.execute(of_key).scalar_one_or_none()
    rule = ensure_rule(customer_id)
    agreed = (rule.threshold, rule.package_id, rule.amount, rule.monthly_cap)
    if _is_running(rule) and agreed == (terms.threshold, package_id, terms.amount, terms.monthly_cap):
        return rule
    rule.enabled, rule.paused_reason = True, None
    rule.threshold, rule.package_id, rule.amount = terms.threshold, package_id, terms.amount
    rule.monthly_cap, rule.consent_at, rule.updated_at = terms.monthly_cap, clock.now(), clock.now()
    rule.next_try_at = clock.now()
    thresholds.set_anew(customer_id)
    audit.record("top_up.turned_on", customer_id=customer_id, after=asdict(terms))
    log.info("top_up_turned_on", customer=customer_id, package=terms.package, monthly_cap=terms.monthly_cap)
    return rule


def turn_off(customer_id: int) -> None:
    """Stop top-ups and end the consent. Flushes."""
    rule = ensure_rule(customer_id)
    if not rule.enabled and rule.consent_at is None:
        return
    rule.enabled, rule.consent_at, rule.paused_reason, rule.updated_at = False, None, None, clock.now()
    db.session.flush()
    audit.record("top_up.turned_off", customer_id=customer_id)
    log.info("top_up_turned_off", customer=customer_id)


def pause(customer_id: int, reason: str) -> bool:
    """Pause the rule until the customer turns it on again; return False if it was not running. Flushes.

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


def clawed_back(mode: Mode) -> Select[int]:
    """Select the customers of a mode whose rule is running although credits were taken back since they agreed
    to it.
    """
    taken = exists().where(
        CreditEntry.customer_id == TopUpRule.customer_id,
        CreditEntry.reason.in_(("refund", "dispute")),
        CreditEntry.created_at > TopUpRule.consent_at,
    )
    query = select(TopUpRule.customer_id).join(Customer, Customer.id == TopUpRule.customer_id)
    return query.where(Customer.mode == mode, TopUpRule.enabled, TopUpRule.paused_reason.is_(None), taken)


def ensure_rule(customer_id: int) -> TopUpRule:
    """Return the customer's rule and create it if there is none. It takes the customer's lock, so that there is
    only one.
    """
    locks.lock(customer_id)
    query = select(TopUpRule).filter_by(customer_id=customer_id)
    # As it is under the lock: the request may have read it before.
    rule = db.session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if rule is None:
        rule = TopUpRule(customer_id=customer_id, updated_at=clock.now())
        db.session.add(rule)
        db.session.flush()
    return rule


def attempts(customer_id: int) -> list[Order]:
    """List the latest top-ups, newest first."""
    query = select(Order).filter_by(customer_id=customer_id, auto=True)
    return list(db.session.execute(query.order_by(Order.id.desc()).limit(SHOWN)).scalars())


def open_attempt(customer_id: int) -> Order | None:
    """Return the top-up whose outcome is not known yet."""
    query = select(Order).filter_by(customer_id=customer_id, auto=True)
    query = query.where(Order.state.in_(OrderState.pending()))
    return db.session.execute(query).scalars().first()


def wanted(customer: Customer, now: datetime) -> Item | None:
    """Return what to buy now; None if nothing is due: enough credits, too soon, or over the cap.

    Raises InvalidInput if what the rule buys is no longer sold.
    """
    rule = rule_of(customer.id)
    if rule is None or not _is_low(rule, customer) or now < _not_before(customer.id):
        return None
    item = _item(rule, customer)
    return item if charged_this_month(customer.id, now) + item.amount <= rule.monthly_cap else None


def next_try(customer: Customer, now: datetime) -> datetime | None:
    """Return when to check again, if nothing was due now. None: once the balance falls, or something else
    changes.
    """
    tried = open_attempt(customer.id)
    if tried is not None:  # a payment can take days
        return now + max(CALL_LIVES, (now - tried.created_at) / 10)
    rule = rule_of(customer.id)
    if rule is None or not _is_low(rule, customer):
        return None
    not_before = _not_before(customer.id)
    return not_before if now < not_before else min(_next_month(now), now + OVER_THE_CAP)


def _is_low(rule: TopUpRule, customer: Customer) -> bool:
    """Return whether the rule is running and the credits are below its threshold."""
    query = select(Customer.credit_balance, Customer.suspended_at).filter_by(id=customer.id)
    balance, suspended_at = db.session.execute(query).one()
    return _is_running(rule) and suspended_at is None and balance < rule.threshold


def _is_running(rule: TopUpRule) -> bool:
    return rule.enabled and not rule.paused_reason and rule.consent_at is not None


def _item(rule: TopUpRule, customer: Customer) -> Item:
    word = packages.CUSTOM if rule.package_id is None else rule.package_id
    return packages.find(word, customer.mode, amount=rule.amount)


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _not_before(customer_id: int) -> datetime:
    """Return the earliest time of the next attempt: ten minutes after the last, and after declines one hour,
    then two.
    """
    tried = attempts(customer_id)
    if not tried:
        return datetime.min.replace(tzinfo=UTC)
    failed = declines(tried)
    return tried[0].created_at + (FIRST_WAIT * (1 << (failed - 1)) if failed else EVERY)


def declines(tried: list[Order]) -> int:
    """Return how many of the newest attempts failed in a row."""
    return next((number for number, one in enumerate(tried) if one.state != OrderState.FAILED), len(tried))


def charged_this_month(customer_id: int, now: datetime) -> int:
    """Return what top-ups have charged, or are charging, since the 1st (UTC), in minor units."""
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = select(func.coalesce(func.sum(Order.amount), 0)).where(
        Order.customer_id == customer_id,
        Order.auto,
        Order.state.in_((*OrderState.pending(), OrderState.PAID)),
        Order.created_at >= since,
    )
    return int(db.session.execute(query).scalar_one())
