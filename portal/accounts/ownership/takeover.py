"""Taking over an unclaimed user: what waited for an address joins the account that has verified it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Update, delete, exists, or_, select, update

from portal import audit, clock, mail
from portal.credits import entries, grants
from portal.customers import owners, stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import (
    ApiKey,
    Base,
    Customer,
    FraudWarning,
    Invoice,
    OpenCall,
    Order,
    OrderInvoice,
    OrderState,
    Payment,
    PeriodCredits,
    PlanPeriod,
    RefundRequest,
    Reversal,
    StripeCustomer,
    Subscription,
    SubscriptionChange,
    TopUpRule,
    TrialUse,
    User,
    Voiding,
)
from portal.settings import current_settings

log = structlog.get_logger()

# The tables that move to a customer with rows of its own, in lock order. The kept keys follow.
MOVED = (
    StripeCustomer,
    Order,
    OrderInvoice,
    Payment,
    Reversal,
    FraudWarning,
    RefundRequest,
    Subscription,
    SubscriptionChange,
    PlanPeriod,
    PeriodCredits,
    TrialUse,
    Invoice,
    Voiding,
    OpenCall,
)
# Tables that are never rewritten, hold the customer's own settings, or (keys) move one by one.
LEFT = ("api_keys", "audit_entries", "credit_entries", "credit_grants", "top_up_rules", "usage_settings")
# If any of these has rows, an admin decides: a date, month or agreement of one customer cannot become another's.
HOLDING = (
    "given_plans",
    "included_units",
    "monthly_bills",
    "suspensions",
    "usage_agreements",
    "usage_corrections",
    "usage_days",
)

CUSTOMER_ID = Base.metadata.tables["customers"].c.id
OF_CUSTOMER = {
    table.name: column
    for table in Base.metadata.sorted_tables
    for column in table.c
    if any(key.column is CUSTOMER_ID for key in column.foreign_keys)
}


@dataclass(frozen=True)
class Taken:
    """The prefixes of an unclaimed user's kept and ended keys. `held`: nothing moved, and an admin is told."""

    kept: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    held: bool = False


def order(waiting: Collection[User]) -> list[User]:
    """Return the order in which to take users over: first those that can only replace an empty customer."""
    return sorted(waiting, key=lambda one: (not _holds(one), one.id))


def take_over(unclaimed: User, account: User, keep: Collection[int]) -> Taken | None:
    """Move everything of an unclaimed user to an account, with the keys whose ids are kept; others end. Flushes.

    Returns None if someone has decided meanwhile. The caller has verified that the address belongs to the account,
    and has locked its users and customers.
    """
    if not _still_waits(unclaimed):
        return None
    pairs = [(source, stripe_customers.of(account, source.mode)) for source in _customers(unclaimed)]
    if any(not _is_empty(target) and _has(source, HOLDING) for source, target in pairs):
        _hold(unclaimed, account)
        return Taken(held=True)
    merged = [(source, target) for source, target in pairs if not _give_way(source, target)]
    _move(merged)
    kept, ended = _sort_keys(pairs, keep)
    unclaimed.taken_over_by = account.id
    after = {"user": unclaimed.id, "keys_kept": kept, "keys_ended": ended}
    audit.record("purchase.taken_over", user_id=account.id, subject=str(unclaimed.id), after=after)
    log.info("unclaimed_user_taken_over", user_id=account.id, unclaimed=unclaimed.id)
    return Taken(tuple(kept), tuple(ended))


def disown(unclaimed: User, account: User) -> None:
    """Record that the address's owner did not order this: it stays with its buyer, and an admin is told.
    Flushes.
    """
    if not _still_waits(unclaimed):
        return
    unclaimed.disowned_at = clock.now()
    audit.record("purchase.disowned", user_id=account.id, subject=str(unclaimed.id))
    _tell_admin(unclaimed, "purchase_disowned")


def _still_waits(unclaimed: User) -> bool:
    query = select(User.id).where(User.id == unclaimed.id, *owners.WAITING)
    return db.session.execute(query).scalar_one_or_none() is not None


def _customers(user: User) -> list[Customer]:
    query = select(Customer).where(Customer.user_id == user.id).order_by(Customer.id)
    return list(db.session.execute(query, execution_options={"populate_existing": True}).scalars())


def _holds(user: User) -> bool:
    return any(_has(customer, HOLDING) for customer in _customers(user))


def _has(customer: Customer, tables: Collection[str]) -> bool:
    """Return whether a row of one of these tables belongs to the customer."""
    rows = [exists().where(OF_CUSTOMER[name] == customer.id) for name in tables]
    return bool(db.session.execute(select(or_(*rows))).scalar_one())


def _is_empty(customer: Customer) -> bool:
    return not _has(customer, OF_CUSTOMER)


def _give_way(source: Customer, target: Customer) -> bool:
    """Replace an empty customer with the other; return False if both have rows of their own. Flushes."""
    # A cached value of one must not be valid for the other.
    version = max(source.access_version, target.access_version) + 1
    source.access_version = target.access_version = version
    db.session.flush()
    stripe_customers.forget(source.user_id, target.user_id)
    if not _is_empty(target):
        return False
    account_id = target.user_id
    db.session.execute(delete(Customer).where(Customer.id == target.id))
    db.session.expunge(target)
    source.user_id = account_id
    db.session.flush()
    return True


def _move(pairs: list[tuple[Customer, Customer]]) -> None:
    """Move the rows of the first customer of each pair to the second. Flushes."""
    for source, target in pairs:
        _move_balance(source, target)
        if stripe_customers.current(target) is not None:
            _run(update(StripeCustomer).where(StripeCustomer.customer_id == source.id).values(is_current=False))
    for model in MOVED:
        for source, target in pairs:
            values: dict[str, Any] = {"customer_id": target.id} | ({"nonce": None} if model is Order else {})
            _run(update(model).where(model.customer_id == source.id, *_movable(model, target)).values(values))
    for source, _target in pairs:
        _run(update(TopUpRule).where(TopUpRule.customer_id == source.id).values(enabled=False))


def _move_balance(source: Customer, target: Customer) -> None:
    """Move the balance, and what of it expires. The ledger's existing entries stay where they are."""
    credits = source.credit_balance
    if not credits:
        return
    expiring = sum(grant.remaining for grant in grants.still_open(source.id))
    moved = grants.move(source.id, target.id)
    for old, new in moved.items():
        _run(update(PeriodCredits).where(PeriodCredits.grant_id == old).values(grant_id=new))
    entries.post(source.id, -credits, "adjustment", f"moved:{target.id}", description="Moved to your account")
    if credits != expiring:
        words = "From an earlier purchase"
        entries.post(target.id, credits - expiring, "adjustment", f"moved:{source.id}", description=words)


def _movable(model: Any, target: Customer) -> list[ColumnElement[bool]]:
    """Return which rows can move: an open order of a plan stays if the account has one too, because only one
    may be open.
    """
    if model is not Order:
        return []
    rival = exists().where(Order.customer_id == target.id, Order.kind == "plan", Order.state == OrderState.OPEN)
    has_rival = bool(db.session.execute(select(rival)).scalar_one())
    return [or_(Order.state != OrderState.OPEN, Order.kind != "plan")] if has_rival else []


def _sort_keys(pairs: list[tuple[Customer, Customer]], keep: Collection[int]) -> tuple[list[str], list[str]]:
    """End the keys that are not kept, move the others to the account, and return the prefixes of both.

    Imported keys are always kept.
    """
    owners_of = {source.id: source if source.user_id == target.user_id else target for source, target in pairs}
    found = [key for source, _target in pairs for key in api_keys.living(source)]
    kept = [key for key in found if key.id in keep or key.imported_at]
    ended = [key for key in found if key not in kept]
    for key in ended:
        api_keys.revoke(key, mailed=False)
    for key in kept:
        _run(update(ApiKey).where(ApiKey.id == key.id).values(customer_id=owners_of[key.customer_id].id))
        db.session.expire(key)
    return [key.prefix for key in kept], [key.prefix for key in ended]


def _run(statement: Update) -> None:
    db.session.execute(statement, execution_options={"synchronize_session": False})


def _hold(unclaimed: User, account: User) -> None:
    audit.record(
        "purchase.held", user_id=account.id, subject=str(unclaimed.id), key=f"held:{unclaimed.id}:{account.id}"
    )
    _tell_admin(unclaimed, "takeover_held", account=account.id)


def _tell_admin(unclaimed: User, template: str, **facts: Any) -> None:
    page = mail.external("admin_customers.show", user_id=unclaimed.id)
    to = current_settings().admin_email
    mail.queue(unclaimed, template, f"{template}:{unclaimed.id}", to=to, page=page, **facts)
