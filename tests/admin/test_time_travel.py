"""Time travel: the effects of months on a test subscription."""

import pytest
from sqlalchemy import select

from portal.customers import access
from portal.extensions import db
from portal.models import Customer, Invoice, OutboxMail, Subscription
from tests.admin.test_test_orders import buy
from tests.conftest import Person
from tests.support import looking
from tests.support.browsing import Browser
from tests.support.world import World


def on_the_clock(here: World) -> Customer:
    with here.app.app_context():
        return db.session.execute(select(Customer).filter_by(mode="test")).scalar_one()


def status(here: World) -> str:
    with here.app.app_context():
        return db.session.execute(select(Subscription.status).filter_by(mode="test")).scalar_one()


def tier(here: World) -> str:
    with here.app.app_context():
        return access.of(db.session.execute(select(Customer).filter_by(mode="test")).scalar_one()).tier


def travel(here: World, admin: Browser, button: str) -> None:
    """Press the button on the order's page, and deliver the webhooks."""
    number = admin.page.url.rpartition("/")[2]
    admin.press(button)
    assert "The clock goes on to" in admin.text, admin.text
    here.flush()
    here.flush()
    admin.open(f"/admin/test-billing/purchases/{number}")


@pytest.fixture
def pro(here: World, admin: Browser, bob: Person) -> Browser:
    """Ada's browser, on the page of Bob's test order of Pro, whose customer is on a test clock."""
    here.flush()
    buy(admin, bob.user_id, "plan:pro-monthly", on_clock="y")
    here.flush()
    admin.open(admin.page.url)
    assert "Time travel" in admin.text
    return admin


def test_a_renewal_is_seen_to_happen(here: World, pro: Browser) -> None:
    before = looking.live(here)
    began = on_the_clock(here).clock_at
    travel(here, pro, "Next renewal")
    after = on_the_clock(here).clock_at
    assert began
    assert after
    assert 27 < (after - began).days < 32
    assert (status(here), tier(here)) == ("active", "pro")
    with here.app.app_context():
        paid = select(Invoice.status).filter_by(mode="test")
        assert list(db.session.execute(paid).scalars()) == ["paid", "paid"]
    assert looking.live(here) == before
    assert pro.text.count("invoice.paid") == 2


def test_a_failed_renewal_goes_its_way_through_dunning(here: World, admin: Browser, bob: Person) -> None:
    here.flush()
    buy(admin, bob.user_id, "plan:pro-monthly", "fails_later", on_clock="y")
    here.flush()
    admin.open(admin.page.url)
    travel(here, admin, "Next renewal")
    assert (status(here), tier(here)) == ("past_due", "pro")
    with here.app.app_context():
        here.app.test_cli_runner().invoke(args=["tick"])
    with here.app.app_context():
        letter = db.session.execute(select(OutboxMail).filter_by(template="payment_failed")).scalars().first()
        assert letter is not None
        assert letter.to == here.app.extensions["settings"].admin_email
    for _ in range(8):
        travel(here, admin, "+1 day")
    assert tier(here) == "free"
    travel(here, admin, "+1 month")
    assert status(here) == "canceled"
    assert "customer.subscription.deleted" in admin.text


def test_a_trial_ends_and_is_paid(here: World, admin: Browser, bob: Person) -> None:
    buy(admin, bob.user_id, "plan:pro-monthly", on_clock="y", trial="14")
    here.flush()
    admin.open(admin.page.url)
    assert (status(here), tier(here)) == ("trialing", "pro")
    travel(here, admin, "To the end of the trial")
    assert (status(here), tier(here)) == ("active", "pro")
    assert "Free trial, then $49.99" in admin.text
    assert "To the end of the trial" not in admin.text
    assert admin.press("Next renewal", step="trial_end").status_code == 409


def test_a_cancellation_ends_it_at_once(here: World, pro: Browser) -> None:
    pro.press("Cancel now")
    here.flush()
    assert (status(here), tier(here)) == ("canceled", "free")


def test_a_page_of_yesterday_moves_nothing_twice(here: World, pro: Browser) -> None:
    form = pro.form("+1 day")
    first, second = (pro.http.post(form.action, data=form.fields, timeout=30).status_code for _ in range(2))
    assert (first, second) == (200, 409)
    back = form.fields | {"step": "yesterday", "seen": on_the_clock(here).clock_at.isoformat()}
    assert pro.http.post(form.action, data=back, timeout=30).status_code == 400
    assert pro.http.post(form.action, data=back | {"seen": "x"}, timeout=30).status_code == 400


def test_what_runs_in_real_time_is_not_put_on_a_clock(here: World, admin: Browser, bob: Person) -> None:
    here.flush()
    buy(admin, bob.user_id, "plan:pro-monthly")
    admin.open(f"/admin/test-billing/{bob.user_id}")
    bought = {"item": "credits:basic", "card": "success", "trial": "0", "on_clock": "y"}
    assert admin.press("Create test purchase", **bought).status_code == 409
    assert "runs in real time" in admin.text
    assert on_the_clock(here).test_clock is None


def test_a_reset_leaves_the_clock(here: World, pro: Browser, bob: Person) -> None:
    pro.open(f"/admin/test-billing/{bob.user_id}")
    pro.press("Reset test data")
    assert "The test data is reset." in pro.text
    here.flush()
    assert on_the_clock(here).test_clock is None
    buy(pro, bob.user_id, "plan:starter-monthly")
    assert tier(here) == "starter"
