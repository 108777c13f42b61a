"""Random subscriptions through three cycles: the page, the invoice, and our own reckoning agree.

The reckoning follows Stripe's documentation. Where it depends on how Stripe spreads a cent over several lines
(discounts, taxes), it may differ by a cent for each; the page and the invoice never differ.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.billing.situations import coupon, price, tax
from tests.conftest import person
from tests.support import billing_page
from tests.support.clocked import START, Clocked, on_a_clock
from tests.support.world import World

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Generating overly large repr")]

numbers = count(1)


def rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def months_after(months: int) -> datetime:
    """Return the same day so many months after START, or the last of that month."""
    year, month = divmod(START.month - 1 + months, 12)
    day = min(START.day, monthrange(START.year + year, month + 1)[1])
    return START.replace(year=START.year + year, month=month + 1, day=day)


@dataclass(frozen=True)
class Flat:
    """A price per unit, which may be a fraction of a cent."""

    unit: Decimal

    @property
    def terms(self) -> dict[str, Any]:
        return {"unit_amount_decimal": str(self.unit)}

    def cost(self, quantity: int) -> int:
        return rounded(self.unit * quantity)


@dataclass(frozen=True)
class Packages:
    """A price for each `size` units, of which the last may be incomplete."""

    unit: int
    size: int
    round: str

    @property
    def terms(self) -> dict[str, Any]:
        return {"unit_amount": self.unit, "transform_quantity": {"divide_by": self.size, "round": self.round}}

    def cost(self, quantity: int) -> int:
        full, rest = divmod(quantity, self.size)
        return self.unit * (full + (1 if rest and self.round == "up" else 0))


@dataclass(frozen=True)
class Tiers:
    """Two tiers: up to `end` units, and beyond, each with a fixed part."""

    mode: str
    end: int
    units: tuple[int, int]
    flats: tuple[int, int]

    @property
    def terms(self) -> dict[str, Any]:
        steps = [
            {"up_to": end, "unit_amount": unit, "flat_amount": flat}
            for end, unit, flat in zip((self.end, "inf"), self.units, self.flats, strict=True)
        ]
        return {"billing_scheme": "tiered", "tiers_mode": self.mode, "tiers": steps}

    def cost(self, quantity: int) -> int:
        beyond = quantity - self.end
        if self.mode == "volume":
            at = 1 if beyond > 0 else 0
            return self.units[at] * quantity + self.flats[at]
        first = self.units[0] * min(quantity, self.end) + self.flats[0]
        return first + (self.units[1] * beyond + self.flats[1] if beyond > 0 else 0)


Shape = Flat | Packages | Tiers


@dataclass(frozen=True)
class Off:
    """A discount: of a percentage or an amount, for good or for some months."""

    percent: int | None
    amount: int
    months: int | None

    @property
    def terms(self) -> dict[str, Any]:
        what = {"percent_off": self.percent} if self.percent else {"amount_off": self.amount, "currency": "usd"}
        if self.months is None:
            return what
        return what | {"duration": "repeating", "duration_in_months": self.months}

    def holds(self, at: datetime) -> bool:
        return self.months is None or at < months_after(self.months)


@dataclass(frozen=True)
class Case:
    """A subscription, and what happens to its customer before the first renewal."""

    items: list[tuple[Shape, int]]
    discounts: list[Off]
    taxed: int  # percent
    trial_days: int
    balance: int
    pending: int
    planned: int  # units of the first item that a schedule changes it to, with the first renewal; 0: no schedule

    def total(self, at: datetime, *, is_first: bool) -> int:
        """Return the total of the invoice of a renewal."""
        items = self.items
        if self.planned:
            items = [(items[0][0], self.planned), *items[1:]]
        left = Decimal(sum(shape.cost(quantity) for shape, quantity in items))
        left += self.pending if is_first else 0
        for one in self.discounts:
            if one.holds(at):
                off = rounded(left * one.percent / 100) if one.percent else min(left, Decimal(one.amount))
                left -= off
        return int(left) + rounded(left * self.taxed / 100)


cents = st.one_of(st.integers(1, 99), st.integers(100, 20_000))  # what is under 50 cents waits on the balance
shapes = st.one_of(
    st.builds(Flat, st.decimals("0.01", "9000", places=2)),
    st.builds(Packages, cents, st.integers(2, 12), st.sampled_from(["up", "down"])),
    st.builds(
        Tiers,
        st.sampled_from(["graduated", "volume"]),
        st.integers(1, 20),
        st.tuples(cents, cents),
        st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
    ),
)
months = st.integers(1, 4)
discounts = st.one_of(
    st.builds(Off, st.integers(1, 60), st.just(0), st.one_of(st.none(), months)),
    st.builds(Off, st.none(), st.integers(1, 3000), months),  # an amount is never off for good
)
cases = st.builds(
    Case,
    items=st.lists(st.tuples(shapes, st.integers(1, 30)), min_size=1, max_size=3),
    discounts=st.lists(discounts, max_size=2),
    taxed=st.sampled_from([0, 0, 7, 19]),
    trial_days=st.sampled_from([0, 0, 7, 14]),
    balance=st.one_of(st.just(0), st.integers(-60_000, 9_000)),
    pending=st.one_of(st.just(0), cents),
    planned=st.one_of(st.just(0), st.integers(1, 30)),
)


def made(carol: Clocked, case: Case) -> None:
    """Create the subscription at Stripe, as the Dashboard does."""
    items = [
        {"price": price(carol, f"Item {number}", **shape.terms), "quantity": quantity}
        for number, (shape, quantity) in enumerate(case.items)
    ]
    terms: dict[str, Any] = {"items": items}
    if case.discounts:
        terms["discounts"] = [one for off in case.discounts for one in coupon(carol, **off.terms)]
    if case.taxed:
        terms["default_tax_rates"] = [tax(carol, case.taxed)]
    if case.trial_days:
        terms["trial_period_days"] = case.trial_days
    subscription = carol.subscribe(**terms)
    if case.planned:
        plan(carol, subscription, case, items)
    if case.pending:
        item = {
            "customer": carol.stripe_customer,
            "amount": case.pending,
            "currency": "usd",
            "description": "Extra",
        }
        carol.stripe.invoice_items.create(item)
    if case.balance:
        carol.stripe.customers.update(carol.stripe_customer, {"balance": case.balance})
    carol.settle()


def plan(carol: Clocked, subscription: str, case: Case, items: list[dict[str, Any]]) -> None:
    """Change the first item's quantity with the next renewal, by a schedule that keeps discounts and taxes."""
    schedules = carol.stripe.subscription_schedules
    schedule = schedules.create({"from_subscription": subscription})
    kept: dict[str, Any] = {}
    own = carol.stripe.subscriptions.retrieve(subscription)
    if own.discounts:
        kept["discounts"] = [{"discount": str(one)} for one in own.discounts]
    if own.default_tax_rates:
        kept["default_tax_rates"] = [rate.id for rate in own.default_tax_rates]
    now = schedule.phases[0]
    first = {"items": items, "start_date": now.start_date, "end_date": now.end_date} | kept
    if now.trial_end:
        first["trial_end"] = now.trial_end
    then = [items[0] | {"quantity": case.planned}, *items[1:]]
    later = {"items": then, "duration": {"interval": "month", "interval_count": 6}, "proration_behavior": "none"}
    schedules.update(schedule.id, {"phases": [first, later | kept], "end_behavior": "release"})


def balance_of(carol: Clocked) -> int:
    return int(carol.stripe.customers.retrieve(carol.stripe_customer).balance)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(case=cases)
def test_the_page_the_invoice_and_a_reckoning_agree_for_three_cycles(here: World, app: Flask, case: Case) -> None:
    someone = person(here, f"carol{next(numbers)}", signed_in=False)
    carol = on_a_clock(here, someone.user)
    made(carol, case)
    balance = balance_of(carol)  # with what was too little to be charged at the start
    parts = (len(case.items) + 1) * (len(case.discounts) + bool(case.taxed))
    for cycle in range(3):
        seen = billing_page.read(carol)
        assert seen.next is not None, seen.charges
        at, shown = seen.next
        total = case.total(at, is_first=cycle == 0)
        due = max(0, total + balance) if total else 0  # with an invoice of nothing, a balance waits
        small = 50 if due < 50 + parts else 0
        assert abs(shown - due) <= parts + small, (shown, due)
        billing_page.advance_to(carol, at + timedelta(hours=2))
        assert billing_page.charged(carol, at) == shown
        left = balance_of(carol)
        assert abs(left - (balance + total - shown)) <= parts, (left, balance, total, shown)
        balance = left
