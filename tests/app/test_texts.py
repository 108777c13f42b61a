"""Times and numbers as pages show them."""

from datetime import UTC, datetime

import pytest
from flask import Flask, g

from portal.web import pages

MIDWINTER = datetime(2026, 12, 21, 23, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "21 December 2026, 23:05 UTC"),
        ("Europe/Berlin", "22 December 2026, 00:05 CET"),
        ("America/Sao_Paulo", "21 December 2026, 20:05 UTC-03"),
    ],
)
def test_a_moment_is_told_in_the_reader_s_zone(app: Flask, zone: str, text: str) -> None:
    with app.test_request_context():
        g.zone = zone
        assert pages.datetime_text(MIDWINTER) == text


def test_numbers_are_grouped_and_have_a_true_minus() -> None:
    assert (pages.whole_text(-5500), pages.signed_text(5500)) == ("−5,500", "+5,500")
    assert pages.money_text(-123456, "usd") == "−$1,234.56"
