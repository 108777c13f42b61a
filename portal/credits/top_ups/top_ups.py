"""Automatic purchases when credits run low: off by default, with consent, and never over the customer's cap."""

import structlog
from sqlalchemy import select, update

from portal import clock, gateway, mail
from portal.catalogue.items import Archived
from portal.credits.orders import payments
from portal.credits.top_ups import rules
from portal.customers import stripe_customers
from portal.errors import InvalidInput, PortalError, StripeRefused
from portal.extensions import db, rows_changed
from portal.models import Customer, Order, OrderState, TopUpRule
from portal.orders import off_session, states
from portal.orders.fulfillment import Mismatch
from portal.sync import idempotency, locks

log = structlog.get_logger()

MOST_DECLINES = 3
AT_ONCE = 200


def has_card(customer: Customer) -> bool:
    """Return whether Stripe has a saved payment method. Call it outside transactions; commits."""
    return _saved_method(customer, stripe_customers.at_stripe(customer)) is not None


def _saved_method(customer: Customer, stripe_customer: str) -> gateway.SavedMethod | None:
    """Return the payment method to charge. One from before the account's first proof may belong to somebody
    else.
    """
    try:
        method = gateway.of(customer.mode).saved_method(stripe_customer)
    except StripeRefused:
        if not stripe_customers.is_deleted(customer.mode, stripe_customer):
            raise
        method = None
    user = customer.user
    db.session.commit()
    return method if method and user.trusts_card(method.saved_at) else None


def run() -> int:
    """Scheduled task: top up customers who are due, and return how many. Commits. A failure does not stop the
    others.
    """
    due = select(TopUpRule.customer_id).where(TopUpRule.next_try_at <= clock.now())
    found = db.session.execute(due.order_by(TopUpRule.next_try_at).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    done = 0
    for customer_id in found:
        if not _take(customer_id):
            continue
        try:
            done += attempt(customer_id)
            _plan_next(customer_id)
        except (PortalError, Mismatch) as error:  # it is due again in a minute
            db.session.rollback()
            log.warning("top_up_postponed", customer=customer_id, reason=type(error).__name__)
    return done


def _take(customer_id: int) -> bool:
    """Postpone the next check, so that only one of two concurrent tasks makes this one. Commits."""
    now = clock.now()
    due = update(TopUpRule).where(TopUpRule.customer_id == customer_id, TopUpRule.next_try_at <= now)
    is_mine = bool(rows_changed(due.values(next_try_at=now + rules.CALL_LIVES)))
    db.session.commit()
    return is_mine


def _plan_next(customer_id: int) -> None:
    """Write when the rule is checked next. The lock keeps a spend from passing the threshold unseen. Commits."""
    customer = locks.lock(customer_id)
    at = rules.next_try(customer, clock.now())
    mine = update(TopUpRule).where(TopUpRule.customer_id == customer_id)
    db.session.execute(mine.values(next_try_at=at), execution_options={"synchronize_session": False})
    db.session.commit()


def attempt(customer_id: int) -> bool:
    """Top up one customer if the rule requires it now, and return whether credits were added. Commits; safe to
    run concurrently.
    """
    customer = db.session.get_one(Customer, customer_id)
    open_one = rules.open_attempt(customer_id)
    if open_one is not None:
        return _resume(open_one)
    try:
        item = rules.wanted(customer, clock.now())
    except (InvalidInput, Archived):
        _pause(customer, "withdrawn", f"withdrawn:{customer_id}:{clock.now():%Y%m%d%H%M}")
        db.session.commit()
        return False
    db.session.commit()
    if item is None:
        return False
    stripe_customer = stripe_customers.at_stripe(customer)
    method = _saved_method(customer, stripe_customer)
    if method is None:
        _pause(customer, "no_card", f"no-card:{customer_id}:{clock.now():%Y%m%d%H%M}")
        db.session.commit()
        return False
    order = _claim(customer, stripe_customer, method.id)
    return order is not None and _charge(order)


def _claim(customer: Customer, stripe_customer: str, method: str) -> Order | None:
    """Write the order's row under the customer's lock, so that only one of two concurrent tasks does. Commits."""
    locks.lock(customer.id)
    item = None if rules.open_attempt(customer.id) else rules.wanted(customer, clock.now())
    if item is None:
        db.session.rollback()
        return None
    params = off_session.intent(customer, item, stripe_customer, method, "automatic top-up")
    order = off_session.order(customer, item, params, auto=True)
    db.session.commit()
    return order


def _resume(order: Order) -> bool:
    """Continue an attempt that got no response, unless another task is working on it."""
    if clock.now() - order.created_at < rules.CALL_LIVES:
        return False
    return go_on(order)


def go_on(order: Order) -> bool:
    """Repeat the call if the customer still agrees; otherwise only ask Stripe for its outcome. Commits."""
    rule, known = rules.rule_of(order.customer_id), idempotency.open_call(order)
    db.session.commit()
    agreed = rule and rule.enabled and rule.paused_reason in (None, "unclear")
    if agreed or (known and known.opened_at):  # the charge is looked for, and not repeated
        return _charge(order)
    intent = off_session.at_stripe(order)
    idempotency.close(order)
    if intent is not None:
        return _confirm(order, intent)
    states.move(order, OrderState.EXPIRED)
    db.session.commit()
    return False


def given_up(order: Order) -> None:
    """Record that nobody knows whether a top-up was charged. None follows until the customer allows it.
    Flushes.
    """
    _pause(order.customer, "unclear", order.number)


def _charge(order: Order) -> bool:
    """Call and confirm, from the row alone, so that a repeated call has the same parameters."""
    try:
        intent = off_session.charge(order)
    except StripeRefused as refused:
        _failed(order, refused.stripe_code)
        return False
    return _confirm(order, intent)


def _confirm(order: Order, intent: gateway.PaymentIntent) -> bool:
    payments.sync(order.mode, intent.id)
    if order.state == OrderState.FAILED:
        _failed(order, intent.failure or intent.status)
    return order.paid_at is not None


def _failed(order: Order, code: str) -> None:
    """Mail the customer, and pause if another attempt without the customer cannot help. Commits."""
    locks.lock(order.customer_id)
    states.move(order, OrderState.FAILED, code)
    db.session.flush()
    log.warning("top_up_failed", order=order.number, code=code)
    if code in ("authentication_required", "requires_action"):
        _pause(order.customer, "authentication_required", order.number)
    elif rules.declines(rules.attempts(order.customer_id)) >= MOST_DECLINES:
        _pause(order.customer, "declined", order.number)
    else:
        _mail(order.customer, order.number, "Your card was declined. We try again later.", paused=False)
    db.session.commit()


def _pause(customer: Customer, reason: str, key: str) -> None:
    """Stop top-ups until the customer turns them on again, and mail them. Flushes."""
    locks.lock(customer.id)
    rules.pause(customer.id, reason)
    _mail(customer, key, rules.PAUSED[reason], paused=True)


def _mail(customer: Customer, key: str, why: str, *, paused: bool) -> None:
    page = mail.external("credits.index")
    mail.tell(customer, "top_up_failed", f"top-up-failed:{key}", why=why, paused=paused, page=page)
