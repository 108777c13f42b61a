"""Actions and attempts on the admin pages are in the audit log, with the person concerned."""

import pytest
from sqlalchemy import select

from portal import clock
from portal.extensions import db
from portal.models import AuditEntry, Customer, StripeCustomer, StripeEvent, User
from tests.admin.test_test_orders import buy
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.world import World


def entries(here: World, action: str) -> list[AuditEntry]:
    with here.app.app_context():
        query = select(AuditEntry).filter_by(action=action, actor="user").order_by(AuditEntry.id)
        return list(db.session.execute(query).scalars())


def test_whose_event_was_looked_at_and_replayed(here: World, admin: Browser, bob: Person) -> None:
    with here.app.app_context():
        event = db.session.execute(select(StripeEvent.id).filter_by(type="invoice.paid")).scalar_one()
        customer = db.session.execute(select(Customer.id).filter_by(user_id=bob.user_id)).scalar_one()
    for button, action in (("Show all of it", "event.payload_shown"), ("Replay", "event.replayed")):
        admin.open(f"/admin/events/{event}")
        admin.press(button)
        assert [one.customer_id for one in entries(here, action)] == [customer], action


def test_a_test_purchase_that_is_refused_and_one_that_is_asked_about(
    here: World, admin: Browser, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = buy(admin, bob.user_id, "credits:basic")
    admin.press("Check again")
    assert [one.subject for one in entries(here, "test_purchase.checked")] == [number]
    admin.open(f"/admin/test-billing/{bob.user_id}")
    monkeypatch.setattr(here.app.extensions["gateway"]["test"], "livemode", True)
    admin.press("Create test purchase", trial="0", item="credits:basic", card="success")
    (refused,) = entries(here, "test_purchase.refused")
    assert (refused.user_id, refused.after["because"]) == (bob.user_id, "live_key_in_test_lane")


def test_what_support_tried(here: World, support: Browser, bob: Person) -> None:
    support.open(f"/admin/test-billing/{bob.user_id}")
    support.press("Create test purchase", trial="0", item="credits:basic", card="success")
    support.open(f"/admin/customers/{bob.user_id}/refund?payment=1")
    assert support.page.status_code == 403
    tried = [one.subject for one in entries(here, "admin_action.refused")]
    assert tried == ["admin_testing.create", "admin_refunds.confirm_refund"]


def test_a_step_of_any_length_is_cut(here: World, admin: Browser, bob: Person) -> None:
    buy(admin, bob.user_id, "plan:pro-monthly", on_clock="y")
    here.flush()
    admin.open(admin.page.url)
    form = admin.form("+1 day")
    assert admin.http.post(form.action, data=form.fields | {"step": "x" * 5000}, timeout=30).status_code == 400
    (asked,) = entries(here, "test_clock.advance_asked")
    assert len(asked.after["step"]) < 50


def test_nothing_is_bought_for_or_given_to_who_is_gone(here: World, admin: Browser, bob: Person) -> None:
    tests, customer = f"/admin/test-billing/{bob.user_id}", f"/admin/customers/{bob.user_id}"
    with here.app.app_context():
        db.session.get_one(User, bob.user_id).deleted_at = clock.now()
        db.session.commit()
    day = f"{clock.now():%Y-%m-%d}"
    admin.open(tests)
    assert admin.press("Create test purchase", trial="0", item="credits:basic", card="success").status_code == 409
    assert "has deleted their account" in admin.text
    admin.open(customer)
    assert admin.press("Give credits", credits="5", expires=day, mode="live").status_code == 409
    with here.app.app_context():
        assert db.session.execute(select(StripeCustomer).filter_by(mode="test")).all() == []


def test_who_took_the_log_along(here: World, admin: Browser) -> None:
    assert admin.open("/admin/audit.csv?about=bob@example.com").status_code == 200
    (taken,) = entries(here, "audit.exported")
    assert taken.after == {"filtered_by": ["about"]}


def test_sessions_that_end_and_what_a_customer_agrees_to(here: World, bob: Person) -> None:
    bob.browser.open("/credits")
    bob.browser.press("Save", low_balance_at="100")
    assert [one.after for one in entries(here, "low_balance_mail.set")] == [{"credits": 100}]
    bob.browser.open("/account")
    bob.browser.press("Sign out")
    assert len(entries(here, "session.ended")) == 1
