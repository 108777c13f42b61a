"""The admin's first page: how much there is of everything, in each mode."""

from dataclasses import dataclass, field

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from portal import gateway
from portal.extensions import db
from portal.models import CreditEntry, Customer, OpenCall, Subscription
from portal.purchases import open_calls, unplaced
from portal.webhooks import vitals

blueprint = Blueprint("admin", __name__)


@dataclass
class Counts:
    """One mode in numbers; credits are whole ones."""

    customers: int = 0
    unclear: int = 0  # calls to Stripe that a person decides about, of both modes
    credits_left: int = 0
    credits_sold: int = 0
    credits_spent: int = 0
    subscriptions: dict[str, int] = field(default_factory=dict)  # by status


@blueprint.get("")
def index() -> ResponseReturnValue:
    """How things stand."""
    modes, health = counts(), vitals.read()
    return render_template(
        "admin/overview.html",
        modes=modes,
        vitals=health,
        unclear=open_calls.unclear() if any(one.unclear for one in modes.values()) else [],
        unplaced=unplaced.still() if health.unplaced else [],
        mend=unplaced.mend,
    )


def counts() -> dict[str, Counts]:
    """Each mode in numbers. Three statements, none of which reads what was spent: that is by the million."""
    found = {mode: Counts() for mode in gateway.MODES}
    unclear = select(func.count()).select_from(OpenCall).where(*open_calls.UNCLEAR).scalar_subquery()
    customers = select(Customer.mode, func.count(), func.sum(Customer.credit_balance), unclear)
    for mode, number, left, decisions in db.session.execute(customers.group_by(Customer.mode)):
        found[mode].customers, found[mode].credits_left, found[mode].unclear = number, int(left), decisions
    running = select(Subscription.mode, Subscription.status, func.count())
    for mode, status, number in db.session.execute(running.group_by(Subscription.mode, Subscription.status)):
        found[mode].subscriptions[status] = number
    _count_credits(found)
    return found


def _count_credits(found: dict[str, Counts]) -> None:
    """What came and is not left was spent: every entry but the spends, less the balances."""
    given = (
        select(Customer.mode, CreditEntry.reason, func.sum(CreditEntry.amount))
        .join(Customer, Customer.id == CreditEntry.customer_id)
        .where(CreditEntry.reason != "spend")
        .group_by(Customer.mode, CreditEntry.reason)
    )
    came = dict.fromkeys(found, 0)
    for mode, reason, amount in db.session.execute(given):
        came[mode] += int(amount)
        if reason == "purchase":
            found[mode].credits_sold = int(amount)
    for mode, one in found.items():
        one.credits_spent = came[mode] - one.credits_left
