"""Emails about a low credit balance, once each time it falls below the customer's threshold."""

from collections.abc import Sequence

from sqlalchemy import func, select

from portal import audit, mail
from portal.credits import thresholds
from portal.credits.top_ups import rules
from portal.extensions import db
from portal.models import CreditEntry, Customer, TopUpRule
from portal.models.credit import GIVEN, MAIL_DUE

AT_ONCE = 500  # customers
ADDING = ("purchase", "reinstatement", "grant", "adjustment")  # the reasons of entries that can add credits


def warn_at(customer_id: int, credits: int | None) -> None:
    """Send a mail when fewer than this many credits are left; None turns the mail off. Flushes."""
    rule = rules.ensure_rule(customer_id)
    before, rule.low_balance_at = rule.low_balance_at, credits
    audit.record(
        "low_balance_mail.set", customer_id=customer_id, before={"credits": before}, after={"credits": credits}
    )
    thresholds.set_anew(customer_id)


def run() -> int:
    """Scheduled task: mail customers whose credits fell below their threshold, and return how many.

    Reads those alone whose balance passed it. Commits after each batch.
    """
    told, last = 0, 0
    while batch := _due(last):
        told += _check(batch)
        db.session.commit()
        last = batch[-1].customer_id
    db.session.commit()
    return told


def _due(after: int) -> Sequence[TopUpRule]:
    """Lock and return the next rules to check. One that the ledger is marking just now is left to the next run."""
    query = select(TopUpRule).where(MAIL_DUE, TopUpRule.customer_id > after)
    query = query.order_by(TopUpRule.customer_id).limit(AT_ONCE)
    fresh = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return db.session.execute(fresh).scalars().all()


def _check(batch: Sequence[TopUpRule]) -> int:
    """Mail those who are below their threshold and were not told yet, and take the marks off. Flushes.

    The key names the last entry that added credits, so the mail is sent again only after they rose and fell.
    """
    wanted = {rule.customer_id: rule.low_balance_at for rule in batch if rule.low_balance_at is not None}
    query = select(Customer).where(Customer.id.in_(wanted)).execution_options(populate_existing=True)
    below = {
        f"low-balance:{one.id}:{_newest(one.id)}": one
        for one in db.session.execute(query).scalars()
        if one.credit_balance < wanted[one.id]
    }
    unsaid = mail.unsaid(below)
    for key in unsaid:
        customer = below[key]
        facts = {"balance": customer.credit_balance, "threshold": wanted[customer.id]}
        mail.tell(customer, "low_balance", key, page=mail.external("credits.index"), **facts)
    for rule in batch:
        rule.mail_due = False
    return len(unsaid)


def _newest(customer_id: int) -> int:
    """Return the id of the last entry that added credits; 0 if there is none.

    The sum keeps a database from reading the ledger backwards until it meets such an entry.
    """
    adding = (CreditEntry.reason.in_(ADDING), GIVEN, CreditEntry.amount > 0)
    query = select(func.max(CreditEntry.id + 0)).where(CreditEntry.customer_id == customer_id, *adding)
    return db.session.execute(query).scalar_one() or 0
