"""Months from an anchor's day, as Stripe counts them."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from portal.allowances import billing_months
from portal.allowances.billing_months import BillingMonth


def at(words: str) -> datetime:
    return datetime.fromisoformat(words).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor", "months", "found"),
    [
        ("2027-01-31 12:00", 1, "2027-02-28 12:00"),
        ("2027-01-31 12:00", 2, "2027-03-31 12:00"),
        ("2027-01-31 12:00", 13, "2028-02-29 12:00"),
        ("2027-01-31 12:00", -2, "2026-11-30 12:00"),
        ("2028-02-29 00:00", 12, "2029-02-28 00:00"),
    ],
)
def test_a_month_later_is_the_anchor_s_day_or_the_last_of_a_shorter_month(
    anchor: str, months: int, found: str
) -> None:
    assert billing_months.later(at(anchor), months) == at(found)


@pytest.mark.parametrize(
    ("anchor", "moment", "start", "end"),
    [
        ("2027-01-31 12:00", "2027-02-28 11:59", "2027-01-31 12:00", "2027-02-28 12:00"),
        ("2027-01-31 12:00", "2027-02-28 12:00", "2027-02-28 12:00", "2027-03-31 12:00"),
        ("2027-01-31 12:00", "2026-12-31 12:00", "2026-12-31 12:00", "2027-01-31 12:00"),
        ("2027-01-15 00:00", "2026-01-14 23:59", "2025-12-15 00:00", "2026-01-15 00:00"),
    ],
)
def test_a_time_is_in_one_month(anchor: str, moment: str, start: str, end: str) -> None:
    assert billing_months.containing(at(anchor), at(moment)) == BillingMonth(at(start), at(end))


def of(anchor: str, starts: str, ends: str) -> list[tuple[datetime, datetime]]:
    return [tuple(month) for month in billing_months.of_period(at(anchor), at(starts), at(ends))]


def test_a_monthly_period_is_one_month_whatever_the_anchor_says() -> None:
    assert of("2027-02-28", "2027-02-28", "2027-03-31") == [(at("2027-02-28"), at("2027-03-31"))]


def test_a_year_has_twelve_months() -> None:
    year = of("2027-01-31", "2027-01-31", "2028-01-31")
    assert len(year) == 12
    assert [start.day for start, _ in year] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert all(end == start for (_, end), (start, _) in pairwise(year))


def test_a_first_period_until_its_anchor_is_a_part_of_a_month() -> None:
    assert of("2027-02-01", "2027-01-20", "2027-02-01") == [(at("2027-01-01"), at("2027-02-01"))]


def test_a_week_can_touch_two_months() -> None:
    found = of("2027-01-01", "2027-01-29", "2027-02-05")
    assert found == [(at("2027-01-01"), at("2027-02-01")), (at("2027-02-01"), at("2027-03-01"))]
