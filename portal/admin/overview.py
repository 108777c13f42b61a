"""The admin overview: counts of everything, in each mode."""

from dataclasses import dataclass, field

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from portal.admin.permissions import require_reason, sensitive
from portal.billing.status import unknown_prices
from portal.enums import Mode
from portal.extensions import db
from portal.figures import report
from portal.models import CreditEntry, Customer, OpenCall, Subscription
from portal.orders import differences, unplaced_payments
from portal.payments import fraud_warnings
from portal.sync import open_calls
from portal.webhooks import statistics

blueprint = Blueprint("admin", __name__)


@dataclass
class Counts:
    """The counts of one mode. Credits are whole credits."""

    customers: int = 0
    unclear: int = 0  # calls to Stripe that an admin has to decide about, in both modes
    credits_left: int = 0
    credits_sold: int = 0
    credits_spent: int = 0
    subscriptions: dict[str, int] = field(default_factory=dict)  # by status


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Show the overview."""
    modes, health = counts(), statistics.read()
    return render_template(
        "admin/overview.html",
        modes=modes,
        mrr=report.mrr_now(),
        vitals=health,
        unclear=open_calls.unclear() if any(one.unclear for one in modes.values()) else [],
        unplaced=unplaced_payments.still() if health.unplaced else [],
        line_to_set=unplaced_payments.line_to_set() if health.unplaced else "",
        differing=differences.still() if health.differing else [],
        warnings=fraud_warnings.actionable() if health.warned else [],
        kept=unknown_prices.kept() if health.kept else [],
    )


@blueprint.post("/orders/<number>/difference/close")
@sensitive
def close_difference(number: str) -> ResponseReturnValue:
    """Close an order that differs from its payment, without granting anything."""
    require_reason()
    differences.close(number)
    return _closed(f"Closed {number}. Nothing was granted.")


@blueprint.post("/unplaced-payments/<int:payment_id>/close")
@sensitive
def close_payment(payment_id: int) -> ResponseReturnValue:
    """Close a payment that has no order, without granting anything."""
    require_reason()
    unplaced_payments.close(payment_id)
    return _closed("Closed the payment. Nothing was granted.")


def _closed(words: str) -> ResponseReturnValue:
    db.session.commit()
    flash(words, "positive")
    return redirect(url_for("admin.index"), 303)


def counts() -> dict[Mode, Counts]:
    """Count each mode with three statements. None reads the spends, of which there are millions."""
    found = {mode: Counts() for mode in Mode}
    unclear = select(func.count()).select_from(OpenCall).where(*open_calls.UNCLEAR).scalar_subquery()
    customers = select(Customer.mode, func.count(), func.sum(Customer.credit_balance), unclear)
    for mode, number, left, decisions in db.session.execute(customers.group_by(Customer.mode)):
        found[mode].customers, found[mode].credits_left, found[mode].unclear = number, int(left), decisions
    running = select(Subscription.mode, Subscription.status, func.count())
    for mode, status, number in db.session.execute(running.group_by(Subscription.mode, Subscription.status)):
        found[mode].subscriptions[status] = number
    _count_credits(found)
    return found


def _count_credits(found: dict[Mode, Counts]) -> None:
    """Compute the spent credits: the sum of all other entries minus the balances."""
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
