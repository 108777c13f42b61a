"""Taking over an unclaimed user: what waited for an address joins the account that has proven it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Update, delete, exists, or_, select, update

from portal import audit, clock, mail
from portal.credits import entries
from portal.customers import owners
from portal.extensions import db
from portal.keys import minting
from portal.models import (
    ApiKey,
    Base,
    Customer,
    Invoice,
    OpenCall,
    Payment,
    Purchase,
    RefundOrder,
    Reversal,
    StripeCustomer,
    Subscription,
    SubscriptionChange,
    TopUpRule,
    TrialUse,
    User,
    Voiding,
)
from portal.purchases import customers
from portal.settings import current_settings

log = structlog.get_logger()

# What goes over to a customer that has something of its own, in the order of locks. The kept keys follow.
MOVED = (
    StripeCustomer,
    Purchase,
    Payment,
    Reversal,
    RefundOrder,
    Subscription,
    SubscriptionChange,
    TrialUse,
    Invoice,
    Voiding,
    OpenCall,
)
# What is never rewritten, what is a choice of the customer's own, and keys, which go over one by one.
LEFT = ("api_keys", "audit_entries", "credit_entries", "top_up_rules", "usage_settings")
# With any of these a person decides: a date, a month or an agreement of one customer cannot become another's.
HOLDING = ("credit_grants", "monthly_bills", "suspensions", "usage_agreements", "usage_days")

CUSTOMER_ID = Base.metadata.tables["customers"].c.id
OF_CUSTOMER = {
    table.name: column
    for table in Base.metadata.sorted_tables
    for column in table.c
    if any(key.column is CUSTOMER_ID for key in column.foreign_keys)
}


@dataclass(frozen=True)
class Taken:
    """What became of an unclaimed user's keys, by their prefixes; `held`: nothing moved, and an admin is told."""

    kept: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    held: bool = False


def order(waiting: Collection[User]) -> list[User]:
    """The order to take them over in: first who can only take the place of an empty customer."""
    return sorted(waiting, key=lambda one: (not _holds(one), one.id))


def take_over(unclaimed: User, account: User, keep: Collection[int]) -> Taken | None:
    """Give an account what waits under an unclaimed user, with the keys whose ids are kept; others end. Flushes.

    Nothing goes where somebody decided meanwhile: None. The address was proven to be the account's before, and its
    users and customers are locked.
    """
    if not _still_waits(unclaimed):
        return None
    pairs = [(source, customers.of(account, source.mode)) for source in _customers(unclaimed)]
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
    """The owner of the address did not buy this: it stays with its buyer, and an admin is told. Flushes."""
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
    """Whether a row of one of these tables is about the customer."""
    rows = [exists().where(OF_CUSTOMER[name] == customer.id) for name in tables]
    return bool(db.session.execute(select(or_(*rows))).scalar_one())


def _is_empty(customer: Customer) -> bool:
    return not _has(customer, OF_CUSTOMER)


def _give_way(source: Customer, target: Customer) -> bool:
    """Let an empty customer give way to the other; False where both have something of their own. Flushes."""
    # What was cached under either must not pass for what is true of the other.
    version = max(source.access_version, target.access_version) + 1
    source.access_version = target.access_version = version
    db.session.flush()
    customers.forget(source.user_id, target.user_id)
    if not _is_empty(target):
        return False
    account_id = target.user_id
    db.session.execute(delete(Customer).where(Customer.id == target.id))
    db.session.expunge(target)
    source.user_id = account_id
    db.session.flush()
    return True


def _move(pairs: list[tuple[Customer, Customer]]) -> None:
    """Write to the second customer of each pair what belongs to the first. Flushes."""
    for source, target in pairs:
        _move_balance(source, target)
        if customers.current(target) is not None:
            _run(update(StripeCustomer).where(StripeCustomer.customer_id == source.id).values(is_current=False))
    for model in MOVED:
        for source, target in pairs:
            values: dict[str, Any] = {"customer_id": target.id} | ({"nonce": None} if model is Purchase else {})
            _run(update(model).where(model.customer_id == source.id, *_movable(model, target)).values(values))
    for source, _target in pairs:
        _run(update(TopUpRule).where(TopUpRule.customer_id == source.id).values(enabled=False))


def _move_balance(source: Customer, target: Customer) -> None:
    """The ledger's entries stay where they are: one takes the balance out, another puts it in."""
    credits = source.credit_balance
    if not credits:
        return
    entries.post(source.id, -credits, "adjustment", f"moved:{target.id}", description="Moved to your account")
    entries.post(target.id, credits, "adjustment", f"moved:{source.id}", description="From an earlier purchase")


def _movable(model: Any, target: Customer) -> list[ColumnElement[bool]]:
    """An open order of a plan stays where the account has one too: only one may be open."""
    if model is not Purchase:
        return []
    rival = exists().where(Purchase.customer_id == target.id, Purchase.kind == "plan", Purchase.state == "open")
    has_rival = bool(db.session.execute(select(rival)).scalar_one())
    return [or_(Purchase.state != "open", Purchase.kind != "plan")] if has_rival else []


def _sort_keys(pairs: list[tuple[Customer, Customer]], keep: Collection[int]) -> tuple[list[str], list[str]]:
    """End the keys that are not kept, and have the others see the account; gives the beginnings of both."""
    owners_of = {source.id: source if source.user_id == target.user_id else target for source, target in pairs}
    found = [key for source, _target in pairs for key in minting.living(source)]
    kept = [key for key in found if key.id in keep]
    ended = [key for key in found if key.id not in keep]
    for key in ended:
        minting.revoke(key, mailed=False)
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
