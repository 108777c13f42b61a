"""Buying credits by itself when they run low: off by default, agreed to, and never over the customer's cap."""

from datetime import timedelta

import structlog
from sqlalchemy import or_, select

from portal import clock, gateway, mail
from portal.credits import off_session as test_purchases
from portal.credits import payments
from portal.credits import topup_rules as rules
from portal.customers import locks
from portal.errors import InvalidInput, PortalError, StripeRefused
from portal.extensions import db
from portal.models import Customer, Purchase, TopUpRule
from portal.purchases import claims, customers, off_session, standing
from portal.purchases.fulfilment import Mismatch

log = structlog.get_logger()

MOST_DECLINES = 3
CALL_LIVES = timedelta(minutes=1)  # longer than any call to Stripe with its retries


def has_card(customer: Customer) -> bool:
    """Whether something is saved at Stripe that can be charged. Call it outside transactions; commits."""
    return _saved_method(customer, customers.at_stripe(customer)) is not None


def _saved_method(customer: Customer, stripe_customer: str) -> gateway.SavedMethod | None:
    """What may be charged: not what was saved before the account began anew, which may be somebody else's."""
    method = gateway.of(customer.mode).saved_method(stripe_customer)
    user = customer.user
    db.session.commit()
    return method if method and user.trusts_card(method.saved_at) else None


def run() -> int:
    """The tick's chore: top up who is due; gives how many were. Commits. One that fails keeps no other from it."""
    done = 0
    for customer_id in _due():
        try:
            done += attempt(customer_id)
        except (PortalError, Mismatch) as error:
            db.session.rollback()
            log.warning("top_up_postponed", customer=customer_id, reason=type(error).__name__)
    return done


def attempt(customer_id: int) -> bool:
    """Top up one customer if the rule asks for it now; whether credits came. Commits; safe beside itself."""
    customer = db.session.get_one(Customer, customer_id)
    open_one = rules.open_attempt(customer_id)
    if open_one is not None:
        return _resume(open_one)
    try:
        item = rules.wanted(customer, clock.now())
    except InvalidInput:
        _pause(customer, "withdrawn", f"withdrawn:{customer_id}:{clock.now():%Y%m%d%H%M}")
        db.session.commit()
        return False
    db.session.commit()
    if item is None:
        return False
    stripe_customer = customers.at_stripe(customer)
    method = _saved_method(customer, stripe_customer)
    if method is None:
        _pause(customer, "no_card", f"no-card:{customer_id}:{clock.now():%Y%m%d%H%M}")
        db.session.commit()
        return False
    purchase = _claim(customer, stripe_customer, method.id)
    return purchase is not None and _charge(purchase)


def _due() -> list[int]:
    query = (
        select(TopUpRule.customer_id)
        .join(Customer, Customer.id == TopUpRule.customer_id)
        .outerjoin(
            Purchase,
            (Purchase.customer_id == TopUpRule.customer_id) & Purchase.auto & (Purchase.state == "open"),
        )
        .where(
            or_(
                Purchase.id.is_not(None),
                TopUpRule.enabled
                & TopUpRule.paused_reason.is_(None)
                & Customer.suspended_at.is_(None)
                & (Customer.credit_balance < TopUpRule.threshold),
            )
        )
        .distinct()
    )
    found = list(db.session.execute(query).scalars())
    db.session.commit()
    return found


def _claim(customer: Customer, stripe_customer: str, method: str) -> Purchase | None:
    """The order's row, written under the customer's lock: of two tickers one writes it. Commits."""
    locks.lock(customer.id)
    item = None if rules.open_attempt(customer.id) else rules.wanted(customer, clock.now())
    if item is None:
        db.session.rollback()
        return None
    params = off_session.intent(customer, item, stripe_customer, method, "automatic top-up")
    purchase = off_session.order(customer, item, params, auto=True)
    db.session.commit()
    return purchase


def _resume(purchase: Purchase) -> bool:
    """An attempt without an answer, unless another ticker is at it."""
    if clock.now() - purchase.created_at < CALL_LIVES:
        return False
    return _go_on(purchase)


def _go_on(purchase: Purchase) -> bool:
    """The same call again, while the customer agrees to it; else only what Stripe knows of it. Commits."""
    rule, known = rules.rule_of(purchase.customer_id), claims.open_call(purchase)
    db.session.commit()
    agreed = rule and rule.enabled and rule.paused_reason in (None, "unclear")
    if agreed or (known and known.opened_at):  # which is looked for, and not charged again
        return _charge(purchase)
    intent = off_session.at_stripe(purchase)
    claims.close(purchase)
    if intent is not None:
        return _confirm(purchase, intent)
    standing.move(purchase, "expired")
    db.session.commit()
    return False


def pay(purchase: Purchase) -> None:
    """Go on with credits that are charged off session, by a top-up or a test purchase. Commits."""
    if purchase.auto:
        _go_on(purchase)
    else:
        test_purchases.pay(purchase)


def given_up(purchase: Purchase) -> None:
    """Nobody knows whether a top-up was charged: none follows until the customer says so. Flushes."""
    if purchase.auto:
        _pause(purchase.customer, "unclear", purchase.number)


def _charge(purchase: Purchase) -> bool:
    """Call and confirm: from the row alone, so that a repeated call is the same call."""
    try:
        intent = off_session.charge(purchase)
    except StripeRefused as refused:
        _failed(purchase, refused.stripe_code)
        return False
    return _confirm(purchase, intent)


def _confirm(purchase: Purchase, intent: gateway.PaymentIntent) -> bool:
    payments.sync(purchase.mode, intent.id)
    if purchase.state == "failed":
        _failed(purchase, intent.failure or intent.status)
    return purchase.paid_at is not None


def _failed(purchase: Purchase, code: str) -> None:
    """Say so by mail; pause where trying again without the customer cannot help. Commits."""
    locks.lock(purchase.customer_id)
    standing.move(purchase, "failed", code)
    db.session.flush()
    log.warning("top_up_failed", order=purchase.number, code=code)
    if code in ("authentication_required", "requires_action"):
        _pause(purchase.customer, "authentication_required", purchase.number)
    elif rules.declines(rules.attempts(purchase.customer_id)) >= MOST_DECLINES:
        _pause(purchase.customer, "declined", purchase.number)
    else:
        _mail(purchase.customer, purchase.number, "Your card was declined. We try again later.", paused=False)
    db.session.commit()


def _pause(customer: Customer, reason: str, key: str) -> None:
    """No more top-ups until the customer turns them on again. Flushes; told by mail."""
    locks.lock(customer.id)
    rules.pause(customer.id, reason)
    _mail(customer, key, rules.PAUSED[reason], paused=True)


def _mail(customer: Customer, key: str, why: str, *, paused: bool) -> None:
    page = mail.external("credits.index")
    mail.tell(customer, "top_up_failed", f"top-up-failed:{key}", why=why, paused=paused, page=page)
