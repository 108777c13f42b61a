"""A year of included units, month by month, against sums made by hand. CPU hours cost $0.10."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import MonthlyBill, MonthlyBillLine
from portal.usage.monthly_run.months import Month
from tests.support.books import a_customer
from tests.support.included import hold
from tests.support.usage import LAST, record, run
from tests.support.world import World

# Each month: what was used, what is included, and what is billed in cents.
BILLED = [
    ("12", 0, 120),  # no plan yet
    ("130", 100, 300),  # Starter began in the middle of the month
    ("80", 100, 0),
    ("450", 500, 0),  # an upgrade in the middle of the month
    ("510.5", 500, 105),
    ("500", 500, 0),  # the plan ends with the month
    ("3", 0, 30),
    ("250", 200, 500),  # a year begins
    ("200", 200, 0),
    ("310", 300, 100),  # a second plan for a month: the larger number counts
    ("200.04", 200, 0),  # 0.4 cents
    ("200.05", 200, 1),  # 0.5 cents
]


@pytest.fixture
def months() -> list[Month]:
    """The twelve months before this one, oldest first."""
    found = [LAST]
    while len(found) < len(BILLED):
        found.insert(0, found[0].previous)
    return found


def middle(month: Month) -> datetime:
    return month.start + timedelta(days=14)


def test_a_year_of_a_monthly_and_a_yearly_plan(here: World, app: Flask, months: list[Month]) -> None:
    dora = a_customer()
    plans = [
        (100, middle(months[1]), middle(months[2])),
        (100, middle(months[2]), middle(months[3])),
        (500, middle(months[3]), months[5].end),
        (200, middle(months[7]), months[11].end + timedelta(days=200)),
        (300, months[9].start, months[9].end),
    ]
    for number, (units, starts, ends) in enumerate(plans):
        hold(dora, {"cpu_hour": units}, starts, ends, subscription_id=f"sub_{number}")
    for month, (used, _, _) in zip(months, BILLED, strict=True):
        record(dora, (f"all-{month}", used, "cpu_hour"), at=month.end - timedelta(seconds=1))
    for month in months:
        assert run(app, str(month)).exit_code == 0
    query = select(MonthlyBill).filter_by(customer_id=dora).order_by(MonthlyBill.month)
    bills = db.session.execute(query).scalars().all()
    assert [(one.month, one.amount) for one in bills] == [
        (month.number, billed) for month, (_, _, billed) in zip(months, BILLED, strict=True)
    ]
    lines = select(MonthlyBillLine.included).join(MonthlyBill, MonthlyBill.id == MonthlyBillLine.bill_id)
    included = db.session.execute(lines.order_by(MonthlyBill.month)).scalars().all()
    assert included == [one for _, one, _ in BILLED]
    assert [one.state == "nothing" for one in bills] == [billed == 0 for _, _, billed in BILLED]
    db.session.rollback()
