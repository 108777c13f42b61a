"""What is due when a balance falls: a top-up, or the mail about a low balance.

`customers.low_at` is the highest threshold that the balance has not fallen below yet. The ledger compares it in
each write, so a rule is read only when the balance passes a threshold, or rises.
"""

from typing import Any

from sqlalchemy import Row, bindparam, select, update

from portal import clock
from portal.extensions import db
from portal.models import Base, Customer

CUSTOMERS = Base.metadata.tables["customers"]
RULES = Base.metadata.tables["top_up_rules"]
# Built once, without the ORM, because the ledger's writes run them.
RULE = select(RULES).where(RULES.c.customer_id == bindparam("of_customer"))
SET_RULE = update(RULES).where(RULES.c.customer_id == bindparam("of_customer"))
SET_LOW_AT = update(CUSTOMERS).where(CUSTOMERS.c.id == bindparam("of_customer"))


def moved(customer_id: int, balance: int) -> None:
    """Mark what is due at this balance, and set the next threshold below it. Flushes. The customer is locked.

    A top-up that is to be checked at a later time already keeps that time.
    """
    db.session.flush()
    connection, of_customer = db.session.connection(), {"of_customer": customer_id}
    rule = connection.execute(RULE, of_customer).one_or_none()
    if rule is None:
        return
    if due := _due(rule, balance):
        connection.execute(SET_RULE, of_customer | due)
    left = [threshold for threshold in _thresholds(rule) if threshold <= balance]
    connection.execute(SET_LOW_AT, of_customer | {"low_at": max(left, default=None)})


def set_anew(customer_id: int) -> None:
    """Do the same after the customer changed the rule. Flushes. The customer is locked."""
    balance = db.session.execute(select(Customer.credit_balance).filter_by(id=customer_id)).scalar_one()
    moved(customer_id, balance)


def _due(rule: Row[Any], balance: int) -> dict[str, Any]:
    """Return the columns that mark what is due."""
    due: dict[str, Any] = {}
    if _tops_up(rule) and balance < rule.threshold and rule.next_try_at is None:
        due["next_try_at"] = clock.now()
    if rule.low_balance_at is not None and balance < rule.low_balance_at:
        due["mail_due"] = True
    return due


def _thresholds(rule: Row[Any]) -> list[int]:
    top_up = [rule.threshold] if _tops_up(rule) else []
    return top_up if rule.low_balance_at is None else [*top_up, rule.low_balance_at]


def _tops_up(rule: Row[Any]) -> bool:
    return bool(rule.enabled) and rule.paused_reason is None
