"""The overview's counts, in each mode."""

import pytest

from portal import clock
from portal.admin import overview
from portal.credits import ledger
from portal.extensions import db
from portal.models import StripeEvent
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.browsing import Browser
from tests.support.looking import counted
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def test_it_counts_each_mode_apart(here: World, admin: Browser, bob: Person) -> None:
    with here.app.app_context():
        mine, tried = a_customer("bob"), a_customer("bob", "test")
        for customer_id, credits in ((mine, 500), (tried, 70)):
            ledger.post(customer_id, credits, "purchase", "a")
            ledger.post(customer_id, 30, "grant", "a")
            ledger.spend(customer_id, 20, "work")
        db.session.commit()
        live, test = (overview.counts()[mode] for mode in ("live", "test"))
    assert (live.customers, live.credits_sold, live.credits_spent, live.credits_left) == (1, 500, 20, 510)
    assert (test.customers, test.credits_sold, test.credits_spent, test.credits_left) == (1, 70, 20, 80)
    assert (live.subscriptions, test.subscriptions) == ({"active": 1}, {})
    with counted(here) as statements:
        admin.open("/admin")
    assert len(statements) <= 7, statements
    assert "Credits sold 500" in admin.text


def test_an_event_that_nobody_handled_yet_is_told(here: World, admin: Browser) -> None:
    now = clock.now()
    with here.app.app_context():
        db.session.add(
            StripeEvent(
                mode="live", event_id="evt_1", type="invoice.paid", object_id="in_1", payload="{}", created_at=now,
                received_at=now,
            )
        )  # fmt: skip
        db.session.commit()
    for page in ("/admin", "/admin/events"):
        assert "none handled yet" in admin.open(page).text
