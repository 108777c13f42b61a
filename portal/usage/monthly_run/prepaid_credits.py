"""Credits that pay for usage first, if the customer chose so: spent from the ledger, with the rest invoiced."""

from portal import money
from portal.catalogue import packages
from portal.credits import ledger
from portal.extensions import db
from portal.models import MonthlyBill
from portal.usage.monthly_run.months import Month


def pay_first(bill: MonthlyBill) -> None:
    """Decide once how much of a bill credits pay, and spend them in the same transaction. Commits.

    It takes as many as the customer has, up to the bill's amount, and nothing if the customer did not choose it.
    """
    if bill.credits is None:
        _spend(bill)
        db.session.commit()


def _spend(bill: MonthlyBill) -> None:
    limits = packages.limits()
    unit, per_unit = 10 ** money.exponent(bill.currency), limits.credits_per_unit
    most = -(-bill.amount * per_unit // unit)
    words = f"Usage of {Month.of_number(bill.month).words}"
    spent = ledger.spend_up_to(bill.customer_id, most, f"bill:{bill.id}", words)
    bill.credits_amount = min(bill.amount, spent * unit // per_unit)
    bill.credits = spent
