"""A mail when credits run low, at a threshold of the customer's choosing: once each time they do."""

from sqlalchemy import String, cast, exists, func, literal, select

from portal import audit, mail
from portal.credits import topup_rules
from portal.extensions import db
from portal.models import CreditEntry, Customer, OutboxMail, TopUpRule


def warn_at(customer_id: int, credits: int | None) -> None:
    """Mail when fewer credits are left than this; None: no such mail. Flushes."""
    rule = topup_rules.ensure_rule(customer_id)
    before, rule.low_balance_at = rule.low_balance_at, credits
    audit.record(
        "low_balance_mail.set", customer_id=customer_id, before={"credits": before}, after={"credits": credits}
    )
    db.session.flush()


def run() -> int:
    """The tick's chore: a mail to each whose credits fell below their threshold; gives how many. Commits.

    The key names the last entry that brought credits: the mail comes again once they rose and fell anew.
    """
    newest = (
        select(func.coalesce(func.max(CreditEntry.id), 0))
        .where(CreditEntry.customer_id == Customer.id, CreditEntry.amount > 0)
        .scalar_subquery()
    )
    key = literal("low-balance:") + cast(Customer.id, String) + literal(":") + cast(newest, String)
    query = (
        select(Customer, TopUpRule.low_balance_at, key)
        .join(TopUpRule, TopUpRule.customer_id == Customer.id)
        .where(Customer.credit_balance < TopUpRule.low_balance_at, ~exists().where(OutboxMail.key == key))
        .limit(1000)
    )
    found = db.session.execute(query).all()
    for customer, threshold, name in found:
        mail.tell(
            customer,
            "low_balance",
            name,
            balance=customer.credit_balance,
            threshold=threshold,
            page=mail.external("credits.index"),
        )
    db.session.commit()
    return len(found)
