"""Deleting an account: immediately here, and at Stripe as soon as it responds.

Tax law requires invoices and the ledger for years, so these stay, under a number instead of a name. Deleting the
customer at Stripe ends subscriptions, removes cards and keeps invoices and charges.
"""

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import contains_eager

from portal import audit, clock, gateway, mail
from portal.accounts.personal_data import deletion_blockers
from portal.accounts.security import recovery_codes
from portal.billing import subscriptions
from portal.customers import access, stripe_customers
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import (
    ApiKey,
    Customer,
    EmailChange,
    KnownDevice,
    MailToken,
    Order,
    OrderState,
    OutboxMail,
    SignInLink,
    StripeCustomer,
    TopUpRule,
    User,
    UserSession,
)
from portal.orders import checkout

log = structlog.get_logger()

AT_ONCE = 50  # calls to Stripe in one run


def delete_account(user: User) -> None:
    """Remove sign-in, keys and personal data from the account. `finish` does the rest. Flushes. Raises NotYet."""
    deletion_blockers.check(user)
    db.session.refresh(user, with_for_update={"of": User, "key_share": True})
    old = user.email
    for model in (UserSession, KnownDevice, MailToken, SignInLink, EmailChange):
        db.session.execute(delete(model).where(model.user_id == user.id))
    recovery_codes.remove(user)
    mine = select(Customer.id).filter_by(user_id=user.id).order_by(Customer.id)
    for customer_id in db.session.execute(mine).scalars().all():
        _close(customer_id)
    db.session.execute(delete(OutboxMail).where(OutboxMail.user_id == user.id))
    mail.queue(user, "account_deleted", f"account_deleted:{user.id}", to=old)
    _anonymise(user)
    audit.record("account.deleted", user_id=user.id)
    log.info("account_deleted", user_id=user.id)


def finish() -> int:
    """Scheduled task: delete customers at Stripe whose account was deleted, and return how many. Commits; can
    be repeated.
    """
    leaving_now = (User.deleted_at <= clock.now(), User.erased_at.is_(None))
    living = (StripeCustomer.deleted_at.is_(None), StripeCustomer.stripe_id.is_not(None))
    query = select(StripeCustomer).join(StripeCustomer.customer).join(Customer.user).where(*leaving_now, *living)
    query = query.options(contains_eager(StripeCustomer.customer).contains_eager(Customer.user))
    query = query.order_by(User.deleted_at).limit(AT_ONCE)
    names = db.session.execute(query).scalars().all()
    db.session.commit()
    return sum(_leave(name) for name in names)


def _anonymise(user: User) -> None:
    user.email = f"deleted-{user.id}@invalid"
    user.name, user.timezone = "", "UTC"
    user.password_hash = user.verified_at = None
    user.totp_seed = user.totp_step = user.second_factor_at = None
    user.deleted_at = clock.now()
    db.session.flush()


def _close(customer_id: int) -> None:
    """End keys and top-ups, and anonymize what is kept."""
    access.mark_changed(customer_id)  # first, because it locks the customer
    keys = update(ApiKey).where(ApiKey.customer_id == customer_id)
    ended = func.coalesce(ApiKey.revoked_at, clock.now())
    db.session.execute(keys.values(revoked_at=ended, name=""), execution_options={"synchronize_session": False})
    db.session.execute(update(TopUpRule).where(TopUpRule.customer_id == customer_id).values(enabled=False))
    db.session.execute(
        update(StripeCustomer)
        .where(StripeCustomer.customer_id == customer_id)
        .values(email="", new_email=None, card_brand=None, card_last4=None, card_fingerprint=None, details={})
    )
    _forget_orders(customer_id)


def _forget_orders(customer_id: int) -> None:
    """Erase the parameters of ended orders, which contain email addresses. Others may still be asked about or
    sent again.
    """
    ended = (Order.customer_id == customer_id, Order.state.not_in(OrderState.pending()))
    db.session.execute(update(Order).where(*ended).values(params={}))


def _leave(name: StripeCustomer) -> bool:
    assert name.stripe_id is not None
    try:
        for order in _open_orders(name.customer_id):
            checkout.close(order)
        gateway.of(name.mode).delete_customer(name.stripe_id)
    except StripeRefused as refused:
        log.warning("customer_not_deleted", stripe_customer=name.stripe_id, code=refused.stripe_code)
    except StripeUnavailable:
        return False  # the next run asks again
    is_gone = stripe_customers.sync(name.mode, name.stripe_id)
    for subscription in subscriptions.of_customer(name.customer_id):
        db.session.commit()
        subscriptions.sync(name.mode, subscription.stripe_id)
    _forget_orders(name.customer_id)
    db.session.commit()
    return is_gone


def _open_orders(customer_id: int) -> list[Order]:
    query = select(Order).filter_by(customer_id=customer_id, state=OrderState.OPEN, auto=False)
    found = db.session.execute(query).scalars().all()
    db.session.commit()
    return list(found)
