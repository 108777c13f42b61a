"""A session that nobody paid ends its order, however the two differ by then."""

from typing import Any

import pytest
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Order, Price, StripeEvent
from tests.conftest import Person
from tests.support import events
from tests.support.looking import one
from tests.support.world import World

DIFFERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "the amount": {"amount": 1},
    "the currency": {"currency": "eur"},
}


@pytest.mark.parametrize("wrong", DIFFERS.values(), ids=DIFFERS)
def test_nobody_is_to_write_about_it(here: World, alice: Person, wrong: dict[str, Any]) -> None:
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    session = one(here, select(Order.session_id))
    if wrong:
        with here.app.app_context():
            db.session.execute(update(Order).values(**wrong))
            db.session.commit()
    here.stripe().v1.checkout.sessions.expire(session)
    (expired,) = events.of_type(here, mark, "checkout.session.expired")
    assert events.deliver(here, expired).json()["status"] == "processed"
    assert one(here, select(Order.state)) == "expired"
    with here.app.app_context():
        assert db.session.execute(select(StripeEvent.error).where(StripeEvent.error.is_not(None))).first() is None
    alice.browser.open(f"/billing/success?session_id={session}")
    assert "write to us" not in alice.browser.text
    assert "expired" in alice.browser.text.lower()


def test_a_price_that_differs_ends_without_an_error_too(here: World, alice: Person) -> None:
    """Ours was changed and not pushed: the checkout is refused, its session expired, and its event is plain."""
    mark = events.newest(here)
    with here.app.app_context():
        db.session.execute(update(Price).filter_by(key="pro-monthly").values(amount=5999))
        db.session.commit()
    assert alice.browser.choose("pro-monthly", follow=False).status_code == 409
    (expired,) = events.of_type(here, mark, "checkout.session.expired")
    assert events.deliver(here, expired).json()["status"] == "processed"
    assert one(here, select(Order.state)) == "failed"
