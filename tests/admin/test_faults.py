"""Test purchases while Stripe fails at each step: repeated requests continue them, and nothing is created
twice.
"""

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import Customer, OpenCall, Order, StripeCustomer
from portal.sync import open_calls
from tests.conftest import Person
from tests.support.ages import age
from tests.support.browsing import Browser
from tests.support.world import World

STEPS = (
    "/v1/test_helpers/test_clocks",
    "/v1/customers",
    "/v1/subscriptions",
    "/v1/payment_methods",
    "/v1/payment_intents",
)


@pytest.mark.parametrize("step", STEPS)
def test_a_plan_on_a_clock_is_bought_once_though_a_step_failed(
    here: World, admin: Browser, bob: Person, step: str
) -> None:
    here.flush()
    clocks = here.stripe("test").v1.test_helpers.test_clocks
    before = {one.id for one in clocks.list({"limit": 100}).data}
    admin.open(f"/admin/test-billing/{bob.user_id}")
    form = admin.form("Create test purchase")
    data = form.fields | {"item": "plan:pro-monthly", "card": "success", "trial": "0", "on_clock": "y"}
    here.fail(next=2, path=step, status=500)
    assert admin.http.post(form.action, data=data, timeout=30).status_code == 503
    here.calm()
    if step == "/v1/subscriptions":  # it bills: after a failure only a person repeats it
        with here.app.app_context():
            age(OpenCall, hours=25)
            open_calls.run()
        admin.open("/admin")
        admin.press("Repeat the call")
    else:
        admin.page = admin.http.post(form.action, data=data, timeout=30)
        admin.press("Check again")
    with here.app.app_context():
        order = db.session.execute(select(Order).filter_by(mode="test")).scalar_one()
        names = db.session.execute(select(StripeCustomer.stripe_id).filter_by(mode="test")).scalars().all()
    assert order.state == "paid"
    (clock,) = {one.id for one in clocks.list({"limit": 100}).data} - before
    (subscription,) = here.stripe("test").v1.subscriptions.list({"test_clock": clock}).data
    assert (subscription.id, subscription.status) == (order.subscription_id, "active")
    assert names == [subscription.customer]


def test_who_bought_in_real_time_goes_on_a_clock_under_another_name(
    here: World, admin: Browser, bob: Person
) -> None:
    for more in ({"item": "credits:basic"}, {"item": "plan:pro-monthly", "on_clock": "y"}):
        admin.open(f"/admin/test-billing/{bob.user_id}")
        admin.press("Create test purchase", **{"card": "success", "trial": "0"} | more)
        assert "Order Paid" in admin.text
    with here.app.app_context():
        query = select(StripeCustomer.is_current).filter_by(mode="test").order_by(StripeCustomer.id)
        assert list(db.session.execute(query).scalars()) == [False, True]


def test_a_reset_leaves_nothing_however_old_its_page(here: World, admin: Browser, bob: Person) -> None:
    form = None
    for _ in range(2):
        admin.open(f"/admin/test-billing/{bob.user_id}")
        admin.press("Create test purchase", item="credits:basic", card="success", trial="0")
        admin.open(f"/admin/test-billing/{bob.user_id}")
        form = form or admin.form("Reset test data")
        admin.http.post(form.action, data=form.fields, timeout=30)
        with here.app.app_context():
            assert db.session.execute(select(Customer.credit_balance).filter_by(mode="test")).scalar_one() == 0


def on_a_clock(here: World, admin: Browser, bob: Person) -> None:
    admin.open(f"/admin/test-billing/{bob.user_id}")
    admin.press("Create test purchase", item="plan:pro-monthly", card="success", trial="0", on_clock="y")
    here.flush()
    admin.open(admin.page.url)


def test_a_clock_goes_on_after_stripe_failed(here: World, admin: Browser, bob: Person) -> None:
    on_a_clock(here, admin, bob)
    form = admin.form("+1 day")
    here.fail(next=2, path="/v1/test_helpers/test_clocks", status=500)
    assert admin.http.post(form.action, data=form.fields, timeout=30).status_code == 503
    here.calm()
    assert "The clock goes on to" in admin.http.post(form.action, data=form.fields, timeout=30).text


def test_a_clock_that_moved_without_an_answer_shows_where_it_is(here: World, admin: Browser, bob: Person) -> None:
    on_a_clock(here, admin, bob)
    form = admin.form("+1 day")
    here.fail(next=2, path="/v1/test_helpers/test_clocks", status=500, after=True)
    assert admin.http.post(form.action, data=form.fields, timeout=30).status_code == 503
    here.calm()
    here.lose_webhooks()
    assert admin.http.post(form.action, data=form.fields, timeout=30).status_code == 409
    with here.app.app_context():
        shown = db.session.execute(select(Customer.clock_at).filter_by(mode="test")).scalar_one()
    assert shown is not None
    assert shown.isoformat() != form.fields["seen"]


def test_a_clock_that_was_deleted_at_stripe_is_let_go(here: World, admin: Browser, bob: Person) -> None:
    on_a_clock(here, admin, bob)
    form = admin.form("+1 day")
    with here.app.app_context():
        clock = db.session.execute(select(Customer.test_clock).filter_by(mode="test")).scalar_one()
    here.stripe("test").v1.test_helpers.test_clocks.delete(clock or "")
    answer = admin.http.post(form.action, data=form.fields, timeout=30)
    assert answer.status_code == 409
    assert "This clock was deleted at Stripe." in answer.text
    with here.app.app_context():
        assert db.session.execute(select(Customer.clock_at).filter_by(mode="test")).scalar_one() is None
