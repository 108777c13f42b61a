"""Customers: found by any id, shown completely, and changed once, by admins who entered their password
recently.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import requests
from sqlalchemy import delete, select, update

from portal import clock
from portal.customers import access
from portal.extensions import db
from portal.models import (
    ApiKey,
    AuditEntry,
    CreditEntry,
    Customer,
    Invoice,
    Order,
    Payment,
    RefundRequest,
    StripeCustomer,
    Subscription,
    UserSession,
)
from tests.conftest import PASSWORD, Person
from tests.support.browsing import Browser
from tests.support.looking import counted
from tests.support.world import World

SOON = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"


@pytest.fixture
def page(here: World, admin: Browser, bob: Person) -> str:
    """Bob's page, open in Ada's browser, who just entered her password."""
    here.flush()
    admin.open(f"/admin/customers/{bob.user_id}")
    return f"/admin/customers/{bob.user_id}"


def bobs(here: World) -> Customer:
    with here.app.app_context():
        return db.session.execute(select(Customer).filter_by(mode="live")).scalar_one()


def tier(here: World) -> str:
    with here.app.app_context():
        return access.of(db.session.execute(select(Customer).filter_by(mode="live")).scalar_one()).tier


def actions(here: World) -> list[str]:
    with here.app.app_context():
        query = select(AuditEntry.action).where(AuditEntry.actor == "user").order_by(AuditEntry.id)
        return list(db.session.execute(query).scalars())


def let_the_password_be_old(here: World) -> None:
    with here.app.app_context():
        db.session.execute(update(UserSession).values(confirmed_at=clock.now() - timedelta(days=1)))
        db.session.commit()


def test_they_are_found_by_mail_stripe_id_order_and_key(
    here: World, admin: Browser, bob: Person, alice: Person
) -> None:
    key = bob.browser.reveal()
    with here.app.app_context():

        def find(column: Any) -> Any:
            return db.session.execute(select(column)).scalars().first()

        words = [find(StripeCustomer.stripe_id), find(Subscription.stripe_id), find(Invoice.stripe_id)]
        words += [find(Order.session_id), find(Order.number), find(ApiKey.prefix), key, "bob@", "BOB"]
        words += [find(Payment.stripe_id), find(Order.number).lower(), find(Invoice.number).lower()]
    for word in words:
        admin.open(f"/admin/customers?q={word}")
        assert "bob@example.com" in admin.text, word
        assert "alice@example.com" not in admin.text, word
    assert "Nobody fits this." in admin.open("/admin/customers?q=cus_nobody").text
    for page in ("customers", "test-billing"):
        admin.open(f"/admin/{page}")
        admin.press("Search", q=f" {key} ")
        assert "bob@example.com" in admin.text
        assert admin.page.url.endswith(f"/admin/{page}?q={key[:17]}")  # never the whole key
        admin.press("Search", q="x" * 5000)
        assert admin.page.status_code == 200


def test_one_page_tells_everything_and_why(here: World, admin: Browser, page: str, bob: Person) -> None:
    subscription = bob.browser.reveal() and "Pro is active, paid until"
    assert subscription in admin.text
    assert "Allows" in admin.text
    assert "/dashboard/customers/cus_" in admin.page.text
    assert f'href="{here.sandbox.replace("127.0.0.1", "localhost")}/dashboard/test"' in admin.page.text
    with counted(here) as statements:
        admin.open(page)
    assert len(statements) <= 13, statements
    past = {"status": "past_due", "past_due_since": clock.now() - timedelta(days=20)}
    with here.app.app_context():
        db.session.execute(update(Subscription).values(past))
        db.session.commit()
    admin.open(page)
    assert "the grace period kept it until" in admin.text
    assert "No subscription gives access now" in admin.text


@pytest.mark.both_databases
def test_credits_are_given_once_whoever_presses_twice(here: World, admin: Browser, page: str) -> None:
    form = admin.form("Give credits")
    data = form.fields | {"credits": "500", "expires": SOON, "note": "Sorry", "mode": "live"}
    for _ in range(2):
        admin.page = admin.http.post(form.action, data=data, timeout=30)
    assert "500 credits were given." in admin.text
    assert bobs(here).credit_balance == 500
    assert actions(here).count("credits.granted") == 1
    admin.open(page)
    assert admin.press("Give credits", credits="0", expires=SOON, mode="live").status_code == 400
    assert admin.press("Give credits", credits="5", expires="2020-01-01", mode="live").status_code == 400
    assert bobs(here).credit_balance == 500


def test_grace_is_extended_and_the_customer_reads_so(here: World, admin: Browser, page: str, bob: Person) -> None:
    with here.app.app_context():
        past = {"status": "past_due", "past_due_since": clock.now() - timedelta(days=20)}
        db.session.execute(update(Subscription).values(past))
        db.session.commit()
    assert tier(here) == "free"
    admin.press("Extend grace", until=SOON, grace_mode="live")
    assert tier(here) == "pro"
    assert "an admin gave longer" in admin.text
    day = clock.now() + timedelta(days=30)
    assert f"{day.day} {day:%B %Y}" in bob.browser.open("/billing").text
    assert "grace.extended" in actions(here)


def test_a_suspended_key_answers_402_until_an_admin_lifts_it(
    here: World, admin: Browser, page: str, bob: Person
) -> None:
    key = bob.browser.reveal()
    admin.press("Suspend")
    assert bob.browser.receipt(key).status_code == 402
    assert "Suspended since" in admin.text
    with here.app.app_context():
        data = admin.form("Reactivate").fields
    again = admin.http.post(f"{here.base}{page}/suspend", data=data, timeout=30)
    assert again.status_code == 409
    admin.press("Reactivate")
    assert bob.browser.receipt(key).status_code == 200


def test_a_key_is_revoked_and_another_user_s_is_not_found(
    here: World, admin: Browser, page: str, bob: Person, alice: Person
) -> None:
    key = bob.browser.reveal()
    admin.open(page)
    action = admin.form("Revoke").action
    data = admin.form("Revoke").fields
    elsewhere = action.replace(f"/{bob.user_id}/keys", f"/{alice.user_id}/keys")
    assert admin.http.post(elsewhere, data=data, timeout=30).status_code == 404
    admin.press("Revoke")
    assert bob.browser.receipt(key).status_code == 401


def test_a_resync_brings_back_what_was_lost(here: World, admin: Browser, page: str) -> None:
    with here.app.app_context():
        for table in (Subscription.__table__, Invoice.__table__):
            db.session.execute(table.delete())
        db.session.commit()
    assert tier(here) == "free"
    admin.press("Resync from Stripe")
    assert "objects were read from Stripe" in admin.text
    assert tier(here) == "pro"
    with here.app.app_context():
        assert db.session.execute(select(Invoice.status)).scalar_one() == "paid"
    assert "customer.resynced" in actions(here)


def bought_credits(here: World, bob: Person) -> None:
    bob.browser.open("/credits")
    form = next(one for one in bob.browser.forms() if one.fields.get("package") == "basic")
    bob.browser.page = bob.browser.http.post(form.action, data=form.fields, timeout=30)
    bob.browser.pay()
    here.flush()


@pytest.mark.both_databases
def test_two_admins_who_refund_at_once_refund_once(here: World, admin: Browser, page: str, bob: Person) -> None:
    bought_credits(here, bob)
    forms = []
    for _ in range(2):
        admin.open(page)
        admin.open(admin.link("5,500 credits"))
        forms.append(admin.form("Refund").fields | {"amount": "9.00"})
    start = Barrier(2)

    def press(data: dict[str, str]) -> int:
        start.wait()
        return requests.post(f"{here.base}{page}/refund", data, cookies=admin.http.cookies, timeout=30).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(press, forms)) == [200, 409]
    here.flush()
    with here.app.app_context():
        assert [
            one.amount for one in db.session.execute(select(RefundRequest).filter_by(state="done")).scalars()
        ] == [900]
        refunds = select(CreditEntry.amount).filter_by(reason="refund")
        assert list(db.session.execute(refunds).scalars()) == [-1100]
    late = admin.http.post(f"{here.base}{page}/refund", data=forms[0] | {"nonce": "another"}, timeout=30)
    assert late.status_code == 409
    assert "since the page was opened" in late.text


@pytest.mark.parametrize("known", [True, False], ids=["its payment known", "its payment asked for"])
def test_an_invoice_is_refunded_and_more_than_was_paid_is_not(
    here: World, admin: Browser, page: str, known: bool
) -> None:
    if not known:  # as of an invoice that an import listed
        with here.app.app_context():
            db.session.execute(delete(Payment))
            db.session.commit()
    admin.open(admin.link("Refund"))
    for amount, words in [("50.00", "at most the $49.99"), ("0", "More than nothing"), ("much", "such as 12.50")]:
        assert admin.press("Refund", amount=amount).status_code == 400
        assert words in admin.text
    assert "refund.asked" not in actions(here)
    admin.press("Refund", amount="49.99")  # on the same page: what was wrong is put right where it stands
    assert "$49.99 go back." in admin.text
    assert "refund.asked" in actions(here)
    assert admin.open(f"{page}/refund?payment=99999").status_code == 404


def test_without_a_recent_password_nothing_moves(here: World, admin: Browser, page: str) -> None:
    let_the_password_be_old(here)
    fields = admin.form("Suspend").fields
    answer = admin.http.post(f"{here.base}{page}/suspend", data=fields, timeout=30)
    assert "/account/confirm" in answer.url
    assert bobs(here).suspended_at is None
    admin.open(page)
    assert "Give credits" not in admin.text
    admin.open(admin.link("Confirm your password"))
    admin.press("Continue" if "Continue" in admin.page.text else "Confirm", password=PASSWORD)
    assert admin.page.url.endswith(page)
    assert "Give credits" in admin.text


def test_support_sees_and_moves_nothing(here: World, support: Browser, page: str, bob: Person) -> None:
    support.open(page)
    assert "Suspend" not in {button for form in support.forms() for button in form.buttons}
    fields = support.form("Resync from Stripe").fields
    for path in ("suspend", "reactivate", "credits", "grace", "refund"):
        assert support.http.post(f"{here.base}{page}/{path}", data=fields, timeout=30).status_code == 403, path
    assert support.press("Resync from Stripe").status_code == 200


def test_a_user_who_vanished_meanwhile_is_said_so(here: World, admin: Browser, page: str) -> None:
    fields = admin.form("Suspend").fields
    for path in ("suspend", "credits", "resync"):
        answer = admin.http.post(f"{here.base}/admin/customers/999999/{path}", data=fields, timeout=30)
        assert answer.status_code == 404, path
