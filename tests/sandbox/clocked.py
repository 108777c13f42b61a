"""Customers whose time is advanced on request."""

import datetime as dt
from typing import Any

import pytest

START = int(dt.datetime(2027, 1, 31, 12, tzinfo=dt.UTC).timestamp())


@pytest.fixture
def clock(api: Any) -> Any:
    """A test clock on 31 January 2027, noon."""
    return api.test_helpers.test_clocks.create({"frozen_time": START, "name": "winter"})


@pytest.fixture
def carol(api: Any, clock: Any) -> Any:
    """A customer on the clock, with a card that works."""
    made = api.customers.create({"test_clock": clock.id, "email": "carol@example.com"})
    use_card(api, made, "pm_card_visa")
    return made


def use_card(api: Any, customer: Any, card: str) -> None:
    method = api.payment_methods.attach(card, {"customer": customer.id})
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})


def advance(api: Any, clock: Any, **time: int) -> None:
    now = api.test_helpers.test_clocks.retrieve(clock.id).frozen_time
    later = now + int(dt.timedelta(**time).total_seconds())
    assert api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": later}).status == "advancing"
    assert api.test_helpers.test_clocks.retrieve(clock.id).status == "ready"
