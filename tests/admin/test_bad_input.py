"""Input that nobody types but somebody may send: refused with a message, and nothing is done."""

from datetime import timedelta

from sqlalchemy import select

from portal import clock
from portal.extensions import db
from portal.models import Customer
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.world import World

BEYOND = 10**25  # no row's id


def test_an_id_that_no_row_can_have_is_not_found(here: World, admin: Browser, bob: Person) -> None:
    for path in ("customers", "events", "test-billing"):
        assert admin.open(f"/admin/{path}/{BEYOND}").status_code == 404, path
    admin.open(f"/admin/customers/{bob.user_id}")
    data = admin.form("Revoke" if "Revoke" in admin.text else "Suspend").fields
    address = f"{here.base}/admin/customers/{bob.user_id}/keys/{BEYOND}/revoke"
    assert admin.http.post(address, data=data, timeout=30).status_code == 404


def test_the_first_and_last_days_of_all_are_no_dates(here: World, admin: Browser, bob: Person) -> None:
    for day in ("9999-12-31", "0001-01-01", "2026-02-30", "10000-01-01"):
        for path in ("events?until", "events?since", "audit?until", "audit?since"):
            assert admin.open(f"/admin/{path}={day}").status_code == 400, (path, day)
        admin.open(f"/admin/customers/{bob.user_id}")
        assert admin.press("Give credits", credits="5", expires=day, mode="live").status_code == 400, day
        admin.open(f"/admin/customers/{bob.user_id}")
        assert admin.press("Extend grace", until=day, grace_mode="live").status_code == 400, day


def test_grace_is_not_extended_into_the_past_nor_for_ever(here: World, admin: Browser, bob: Person) -> None:
    for days in (-1, 400):
        admin.open(f"/admin/customers/{bob.user_id}")
        day = clock.now() + timedelta(days=days)
        assert admin.press("Extend grace", until=f"{day:%Y-%m-%d}", grace_mode="live").status_code == 400, days
    with here.app.app_context():
        assert db.session.execute(select(Customer.grace_until)).scalar_one() is None
