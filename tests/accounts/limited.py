"""Browsers at network addresses, and a portal with rate limits on."""

import pytest
import time_machine

from portal import clock
from portal.api import rate_limits
from portal.api.circuit_breaker import Breaker
from portal.extensions import db, limiter

from .conftest import PASSWORD, Browser, build

MAIL = "alice@example.com"


@pytest.fixture
def house(settings, monkeypatch):
    """The app with rate limits on. Other tests stop Redis, which would then not be used for a while."""
    monkeypatch.setattr(rate_limits, "_breaker", Breaker())
    house = build(settings, limited=True)
    yield house
    limiter.reset()
    with house.app_context():
        db.engine.dispose()


@pytest.fixture
def moment():
    """A clock that stands still until a test moves it."""
    with time_machine.travel(clock.now().replace(second=0, microsecond=0), tick=False) as travel:
        limiter.reset()
        yield travel


class Place(Browser):
    """A browser at a network address."""

    def __init__(self, app, address):
        super().__init__(app)
        self.client.environ_base["REMOTE_ADDR"] = address

    def token(self, password=PASSWORD, email=MAIL):
        """Sign in as a program does."""
        return self.client.post("/api/auth/token", json={"email": email, "password": password})

    @property
    def cookie(self):
        found = self.client.get_cookie("device")
        return found and found.value


def guess(house, number, times=1, email=MAIL):
    """Return the last response to wrong passwords, each from a different address."""
    for n in range(times):
        last = Place(house, f"198.51.{number + n >> 8 & 255}.{number + n & 255}").sign_in(email, "wrong password")
    return last


def retry(answer):
    """Return the seconds after which a refused request may be repeated."""
    assert answer.status_code == 429, answer.status_code
    return int(answer.headers["Retry-After"])
