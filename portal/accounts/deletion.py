"""Deleting an account: at once here, and at Stripe as soon as it answers.

Tax law keeps invoices and the ledger for years, so these stay, under a number instead of a name. At Stripe the
customer is deleted, which ends subscriptions, forgets cards and keeps what was invoiced and charged.
"""

import structlog
from sqlalchemy import delete, func, select, update

from portal import access, audit, clock, gateway, mail
from portal.accounts import leaving, recovery
from portal.billing import subscriptions
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import (
    ApiKey,
    Customer,
    EmailChange,
    KnownDevice,
    MailToken,
    OutboxMail,
    Purchase,
    SignInLink,
    StripeCustomer,
    TopUpRule,
    User,
    UserSession,
)
from portal.purchases import checkout, customers

log = structlog.get_logger()


def delete_account(user: User) -> None:
    """Make the account nobody's: no way in, no key, no name. `finish` does the rest. Flushes. Raises NotYet."""
    leaving.check(user)
    db.session.refresh(user, with_for_update={"of": User, "key_share": True})
    old = user.email
    for model in (UserSession, KnownDevice, MailToken, SignInLink, EmailChange):
        db.session.execute(delete(model).where(model.user_id == user.id))
    recovery.remove(user)
    mine = select(Customer.id).filter_by(user_id=user.id).order_by(Customer.id)
    for customer_id in db.session.execute(mine).scalars().all():
        _close(customer_id)
    db.session.execute(delete(OutboxMail).where(OutboxMail.user_id == user.id))
    mail.queue(user, "account_deleted", f"account_deleted:{user.id}", to=old)
    _anonymise(user)
    audit.record("account.deleted", user_id=user.id)
    log.info("account_deleted", user_id=user.id)


def finish() -> int:
    """The tick's chore: delete at Stripe who deleted their account. Gives how many; commits; safe to repeat."""
    leaving_now = (User.deleted_at.is_not(None), User.erased_at.is_(None))
    living = (StripeCustomer.deleted_at.is_(None), StripeCustomer.stripe_id.is_not(None))
    query = select(StripeCustomer).join(Customer).join(User).where(*leaving_now, *living)
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
    """No key opens anything, nothing is topped up, and what is kept names nobody."""
    access.changed(customer_id)  # ahead of all else: it locks the customer
    keys = update(ApiKey).where(ApiKey.customer_id == customer_id)
    ended = func.coalesce(ApiKey.revoked_at, clock.now())
    db.session.execute(keys.values(revoked_at=ended, name=""), execution_options={"synchronize_session": False})
    db.session.execute(update(TopUpRule).where(TopUpRule.customer_id == customer_id).values(enabled=False))
    db.session.execute(
        update(StripeCustomer)
        .where(StripeCustomer.customer_id == customer_id)
        .values(email="", new_email=None, card_brand=None, card_last4=None, card_fingerprint=None)
    )
    _forget_orders(customer_id)


def _forget_orders(customer_id: int) -> None:
    """The parameters of ended orders hold mail addresses; only open ones are ever sent again."""
    ended = (Purchase.customer_id == customer_id, Purchase.state != "open")
    db.session.execute(update(Purchase).where(*ended).values(params={}))


def _leave(name: StripeCustomer) -> bool:
    assert name.stripe_id is not None
    try:
        for purchase in _open_purchases(name.customer_id):
            checkout.close(purchase)
        gateway.of(name.mode).delete_customer(name.stripe_id)
    except StripeRefused as refused:
        log.warning("customer_not_deleted", stripe_customer=name.stripe_id, code=refused.stripe_code)
    except StripeUnavailable:
        return False  # the next tick asks again
    is_gone = customers.sync(name.mode, name.stripe_id)
    for subscription in subscriptions.of_customer(name.customer_id):
        db.session.commit()
        subscriptions.sync(name.mode, subscription.stripe_id)
    _forget_orders(name.customer_id)
    db.session.commit()
    return is_gone


def _open_purchases(customer_id: int) -> list[Purchase]:
    query = select(Purchase).filter_by(customer_id=customer_id, state="open", auto=False)
    found = db.session.execute(query).scalars().all()
    db.session.commit()
    return list(found)
