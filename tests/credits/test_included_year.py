"""A year of a plan with included credits, against a reckoning that shares nothing with the portal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from flask import Flask

from portal.credits import ledger
from portal.enums import Mode
from portal.extensions import db
from portal.reconcile import included_credits
from tests.conftest import Person
from tests.credits.test_included_credits import change, newest, tick
from tests.support import billing_page
from tests.support.books import assert_balanced
from tests.support.clocked import START, Clocked, on_a_clock
from tests.support.included import grants_of, include
from tests.support.world import World

STARTER, PRO, ENTERPRISE = 5_000, 20_000, 90_000
HOURS = timedelta(hours=2)  # an invoice is a draft for one

# The first of each billing month of a plan that began on 31 January, and the end of the last.
DAYS = [
    (1, 31),
    (2, 28),
    (3, 31),
    (4, 30),
    (5, 31),
    (6, 30),
    (7, 31),
    (8, 31),
    (9, 30),
    (10, 31),
    (11, 30),
    (12, 31),
]
MONTHS = [START.replace(month=month, day=day) for month, day in DAYS] + [START.replace(year=2028)]


def rounded(part: Fraction) -> int:
    """Round half up."""
    return int(part + Fraction(1, 2))


@dataclass
class Pool:
    """Credits that were given until a day. `returned`: how many of them a refund has taken back."""

    given: int
    ends: datetime
    left: int = 0
    lapsed: int = 0
    returned: int = 0


@dataclass
class Reckoning:
    """What an accountant with a pencil knows: pools that end, and what was spent beyond them."""

    pools: list[Pool] = field(default_factory=list)
    debt: int = 0

    @property
    def balance(self) -> int:
        return sum(pool.left for pool in self.pools) - self.debt

    def at(self, moment: datetime) -> None:
        for pool in self.pools:
            if pool.ends <= moment:
                pool.lapsed, pool.left = pool.lapsed + pool.left, 0

    def give(self, credits: int, ends: datetime) -> None:
        owed = min(self.debt, credits)
        self.debt -= owed
        self.pools.append(Pool(credits, ends, credits - owed))

    def spend(self, credits: int) -> None:
        for pool in sorted(self.pools, key=lambda one: one.ends):
            used = min(pool.left, credits)
            pool.left, credits = pool.left - used, credits - used
        assert credits == 0

    def refund(self, pool: Pool, part: Fraction) -> None:
        """Take this part of a pool back in all: from what is left, then as debt. What lapsed unused pays too."""
        owed = rounded(pool.given * part) - pool.returned
        pool.returned += owed
        kept = min(owed, pool.left)
        pool.left -= kept
        forgiven = min(owed - kept, pool.lapsed)
        self.debt += owed - kept - forgiven


@dataclass
class Year:
    """The customer's time, in the portal and in the reckoning together."""

    carol: Clocked
    subscription: str = ""
    books: Reckoning = field(default_factory=Reckoning)
    spent: int = 0

    def until(self, moment: datetime) -> None:
        """Let the time come in both."""
        clocks = self.carol.stripe.test_helpers.test_clocks
        while (now := billing_page.now(self.carol)) < moment:
            step = min(moment, now + timedelta(days=25))
            clocks.advance(self.carol.clock, {"frozen_time": int(step.timestamp())})
            self.carol.settle()
            tick(self.carol)
        self.books.at(moment)

    def renews(self, number: int, credits: int) -> None:
        """The month with this number has begun, and gives its credits."""
        self.until(MONTHS[number] + HOURS)
        self.books.give(credits, MONTHS[number + 1])
        self.agree()

    def spend(self, credits: int) -> None:
        self.spent += 1
        ledger.spend(self.carol.customer_id, credits, f"work-{self.spent}")
        db.session.commit()
        self.books.spend(credits)
        self.agree()

    def upgrade(self, lookup_key: str, more: int, number: int, moment: datetime) -> None:
        """Change the plan in the middle of a month: the rest of it gets its part of so many credits more."""
        self.until(moment)
        change(self.carol, self.subscription, lookup_key)
        month = MONTHS[number + 1] - MONTHS[number]
        rest = Fraction(int((MONTHS[number + 1] - moment).total_seconds()), int(month.total_seconds()))
        self.books.give(rounded(more * rest), MONTHS[number + 1])
        self.agree()

    def refund(self, invoice: str, amount: int, of: int, *pools: Pool) -> None:
        """Refund an amount of an invoice in the Dashboard."""
        paid = self.carol.stripe.invoice_payments.list({"invoice": invoice}).data[0].payment.payment_intent
        self.carol.stripe.refunds.create({"payment_intent": paid, "amount": amount})
        self.carol.settle()
        for pool in pools:
            self.books.refund(pool, Fraction(amount, of))
        self.agree()

    def is_paid_late(self, number: int, credits: int, moment: datetime) -> None:
        """The month's payment fails, and succeeds with another card later: until then it gives nothing."""
        self.carol.use_card("pm_card_chargeCustomerFail")
        self.until(MONTHS[number] + HOURS)
        self.agree()
        self.until(moment)
        self.carol.use_card("pm_card_visa")
        self.carol.stripe.invoices.pay(newest(self.carol))
        self.carol.settle()
        self.books.give(credits, MONTHS[number + 1])
        self.agree()

    def agree(self) -> None:
        """Compare the balance and every grant that is open, and have reconcile look."""
        assert assert_balanced(self.carol.customer_id) == self.books.balance
        mine = [(one.credits, one.expires_at) for one in grants_of(self.carol.customer_id)]
        assert mine == [(pool.given, pool.ends) for pool in self.books.pools]
        left = sum(one.left for one in grants_of(self.carol.customer_id))
        assert left == sum(pool.left for pool in self.books.pools)


@pytest.fixture
def year(here: World, app: Flask, alice: Person) -> Iterator[Year]:
    """Alice's customer in test mode on a clock, and the plans' numbers. In the end reconcile finds nothing."""
    for tier, credits in {"starter": STARTER, "pro": PRO, "enterprise": ENTERPRISE}.items():
        include(tier, credits=credits)
    yield Year(on_a_clock(here, alice.user))
    assert differences() == []


def differences(mode: str = "test") -> list[Any]:
    found = list(included_credits.differences(Mode(mode)))
    db.session.rollback()
    return found


def test_a_year_by_months(year: Year) -> None:
    """An upgrade, a refund of everything, one of a part, a month that is paid late, and a downgrade."""
    carol = year.carol
    year.subscription = carol.subscribe("starter_monthly")
    year.renews(0, STARTER)
    year.spend(1_200)
    year.renews(1, STARTER)
    year.upgrade("pro_monthly", PRO - STARTER, 1, START.replace(month=3, day=10))
    year.spend(7_000)
    year.renews(2, PRO)
    year.spend(3_000)
    year.until(START.replace(month=4, day=10))
    year.refund(newest(carol), 4999, 4999, year.books.pools[-1])
    assert year.books.balance == -3_000
    year.renews(3, PRO)
    assert year.books.balance == PRO - 3_000

    year.is_paid_late(4, PRO, START.replace(month=6, day=7))
    year.renews(5, PRO)
    year.spend(15_000)
    year.until(START.replace(month=7, day=10))
    year.refund(newest(carol), 2500, 4999, year.books.pools[-1])
    assert year.books.balance == -5_002  # half of 20,000 is owed, and 5,000 were left
    year.renews(6, PRO)
    year.spend(100)
    year.until(START.replace(month=8, day=10))
    change(carol, year.subscription, "starter_monthly")
    year.agree()  # a downgrade takes nothing back
    for number in range(7, 12):
        year.renews(number, STARTER)
    year.until(MONTHS[12] - HOURS)
    assert len(year.books.pools) == 13


def test_a_year_at_once(year: Year) -> None:
    """Months that the scheduled task gives, a refund of a part of all of it, and an upgrade that ends that."""
    carol = year.carol
    year.subscription = carol.subscribe("starter_yearly")
    first, part = newest(carol), Fraction(9_999, 19_999)
    for number in range(4):
        year.renews(number, STARTER)
        year.spend(1_000 * (number + 1))
    # Of a month that lapsed, what was spent is owed as far as it goes beyond what is still paid for.
    year.refund(first, 9_999, 19_999, *year.books.pools)
    for number in (4, 5):
        year.until(MONTHS[number] + HOURS)
        year.books.give(STARTER, MONTHS[number + 1])
        year.books.refund(year.books.pools[-1], part)
        year.agree()
    year.upgrade("pro_yearly", PRO - STARTER, 5, START.replace(month=7, day=15))
    for number in range(6, 12):
        year.renews(number, PRO)
    year.spend(PRO)
    year.until(MONTHS[12] - HOURS)
    assert [pool.given for pool in year.books.pools] == [STARTER] * 6 + [7_742] + [PRO] * 6
