"""Prices for schedules, and what schedules lead to."""

import datetime as dt
from typing import Any

import pytest


def at(month: int, day: int, year: int = 2027) -> int:
    return int(dt.datetime(year, month, day, 12, tzinfo=dt.UTC).timestamp())


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def totals(api: Any, schedule: Any) -> list[int]:
    """What the invoices of a schedule's subscription come to, the oldest first."""
    found = api.subscription_schedules.retrieve(schedule.id)
    subscription = found.subscription or found.released_subscription
    return [one.total for one in api.invoices.list({"subscription": subscription, "limit": 20}).data][::-1]


def subscription_of(api: Any, schedule: Any) -> Any:
    return api.subscriptions.retrieve(api.subscription_schedules.retrieve(schedule.id).subscription)


@pytest.fixture
def gold(api: Any, product: Any) -> Any:
    """$10 a month, the Gold Plan of https://docs.stripe.com/api/subscription_schedules/create."""
    terms = {"unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}
    return api.prices.create({"product": product.id, **terms})


@pytest.fixture
def silver(api: Any, product: Any) -> Any:
    """$6 a month."""
    terms = {"unit_amount": 600, "currency": "usd", "recurring": {"interval": "month"}}
    return api.prices.create({"product": product.id, **terms})
