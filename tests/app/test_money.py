"""Amounts are Stripe's minor units, formatted and parsed with Stripe's exponents, rounded half up and once."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from portal import clock, money


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (4999, "usd", "$49.99"),
        (0, "usd", "$0.00"),
        (-500, "usd", "-$5.00"),
        (123456789, "eur", "€1,234,567.89"),
        (500, "JPY", "¥500"),
        (12345, "kwd", "KWD\u00a012.345"),
        (500, "isk", "ISK\u00a05"),  # counted in hundredths by Stripe, shown whole
        (500, "huf", "HUF\u00a05.00"),
    ],
)
def test_amounts_read_as_people_write_them(amount, currency, expected):
    assert money.text(amount, currency) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [(0, "usd", "$0"), (19900, "usd", "$199"), (1999, "usd", "$19.99"), (1000, "kwd", "KWD\u00a01")],
)
def test_short_text_leaves_out_the_decimals_of_whole_amounts(amount, currency, expected):
    assert money.text(amount, currency, short=True) == expected


@pytest.mark.parametrize(
    ("words", "currency", "expected"),
    [
        ("49.99", "usd", 4999),
        (" $1,049.9 ", "usd", 104990),
        ("0", "usd", 0),
        ("500", "jpy", 500),
        ("12.345", "kwd", 12345),
        ("5", "isk", 500),
        ("5.00", "isk", 500),
    ],
)
def test_amounts_are_read_in_minor_units(words, currency, expected):
    assert money.parse(words, currency) == expected


@pytest.mark.parametrize(
    ("words", "currency"),
    [
        ("49.999", "usd"),
        ("5.5", "jpy"),
        ("5.5", "isk"),
        ("1.2345", "kwd"),
        ("-1", "usd"),
        ("1e3", "usd"),
        ("1,2", "usd"),
        ("", "usd"),
        ("inf", "usd"),
        ("€5", "usd"),
        ("１２", "usd"),
    ],
)
def test_what_is_no_amount_of_the_currency_is_refused(words, currency):
    with pytest.raises(ValueError):
        money.parse(words, currency)


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd", "isk", "eur"])
def test_what_is_shown_can_be_read_back(currency):
    for amount in (0, 100, 123400, 99900):
        assert money.parse(money.text(amount, currency).replace("\u00a0", ""), currency) == amount


def test_rounding_is_half_up_and_nothing_else():
    halves = {"0.5": 1, "1.5": 2, "2.5": 3, "2.4999": 2, "-0.5": -1}
    assert {words: money.round_half_up(Decimal(words)) for words in halves} == halves


def test_the_price_of_a_credit_has_three_decimals():
    packages = {(1000, 1000): "$0.010", (4500, 5500): "$0.008", (10000, 13500): "$0.007", (22500, 35000): "$0.006"}
    assert {key: money.price_per_credit(*key, "usd") for key in packages} == packages
    assert money.unit_text(Decimal("0.0005"), "usd") == "$0.001"


def test_the_clock_is_aware_and_in_utc():
    assert clock.now().tzinfo is UTC
    frozen = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    assert clock.now(frozen).isoformat() == "2026-01-31T10:00:00+00:00"
    with pytest.raises(ValueError):
        clock.now(datetime(2026, 1, 31))  # noqa: DTZ001
