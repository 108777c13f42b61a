"""From the pricing page to a working API key, without JavaScript."""

import re

import pytest
from sqlalchemy import func, select

from portal.customers import access
from portal.extensions import db
from portal.models import ApiKey, Customer, Order, StripeEvent, Subscription
from tests.conftest import PASSWORD, Person
from tests.support import browsing
from tests.support.world import World


def count(model: type) -> int:
    return db.session.execute(select(func.count()).select_from(model)).scalar_one()


def test_a_stranger_buys_pro_and_gets_a_key_that_works(here: World, visitor: browsing.Browser) -> None:
    visitor.choose("pro-monthly")
    assert visitor.page.url.split("?")[0] == f"{here.base}/signup"
    visitor.press("Create account", name="Dora", email="dora@example.com", password=PASSWORD)
    assert visitor.page.url.startswith(here.sandbox.replace("127.0.0.1", "localhost"))
    visitor.pay()
    assert visitor.page.url.startswith(f"{here.base}/billing/success")
    answer = visitor.receipt(visitor.reveal())
    assert answer.status_code == 200
    facts = answer.json()
    assert (facts["tier"], facts["status"], facts["mode"]) == ("pro", "active", "live")
    assert facts["key"]["prefix"].startswith("key_live_")


def test_the_key_is_there_before_any_webhook_and_the_webhooks_change_nothing(here: World, alice: Person) -> None:
    alice.browser.buy("pro-monthly")
    key = alice.browser.reveal()
    before = alice.browser.receipt(key).json()
    here.flush()
    with here.app.app_context():
        assert set(db.session.execute(select(StripeEvent.state)).scalars()) <= {"processed", "ignored"}
        assert count(StripeEvent) > 3
        assert (count(Order), count(Subscription), count(ApiKey)) == (1, 1, 1)
    after = alice.browser.receipt(key).json()
    assert before | {"key": None} == after | {"key": None}


def test_the_webhooks_alone_are_enough(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    here.flush()
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        assert order.state == "paid"
        assert access.of(db.session.get(Customer, order.customer_id)).tier == "pro"


def test_a_key_is_shown_once(here: World, alice: Person) -> None:
    alice.browser.buy("pro-monthly")
    success = alice.browser.page.url
    form = alice.browser.form("Reveal my API key")
    key = alice.browser.reveal()
    assert alice.browser.page.headers["Cache-Control"] == "no-store"
    assert alice.browser.page.headers["Referrer-Policy"] == "no-referrer"
    again = alice.browser.http.post(form.action, data=form.fields)
    assert key not in again.text
    assert "shown already" in again.text
    assert key not in alice.browser.open(success).text
    with here.app.app_context():
        assert count(ApiKey) == 1


def test_the_key_stands_nowhere_in_the_database(here: World, alice: Person) -> None:
    alice.browser.buy("pro-monthly")
    key = alice.browser.reveal()
    with here.app.app_context():
        for table in db.metadata.sorted_tables:
            for row in db.session.execute(select(table)):
                assert key not in str(tuple(row)), table.name


def test_a_declined_card_can_be_tried_again(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    alice.browser.pay(browsing.DECLINED)
    assert "declined" in alice.browser.text
    assert "/billing/success" not in alice.browser.page.url
    alice.browser.pay()
    assert "/billing/success" in alice.browser.page.url
    assert "is yours" in alice.browser.text


def test_a_card_that_asks_for_authentication_pays_after_it_was_completed(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    alice.browser.pay(browsing.AUTHENTICATE)
    alice.browser.press("Complete")
    assert "/billing/success" in alice.browser.page.url
    assert alice.browser.receipt(alice.browser.reveal()).json()["tier"] == "pro"


def test_a_failed_authentication_leads_back_to_the_card(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    alice.browser.pay(browsing.AUTHENTICATE)
    alice.browser.press("Fail")
    assert "/billing/success" not in alice.browser.page.url
    alice.browser.pay()
    assert "is yours" in alice.browser.text


def test_the_same_choice_twice_leads_to_the_same_session(here: World, alice: Person) -> None:
    first = alice.browser.choose("pro-monthly", follow=False).headers["Location"]
    second = alice.browser.choose("pro-monthly", follow=False).headers["Location"]
    assert first == second
    with here.app.app_context():
        assert count(Order) == 1


def test_another_choice_ends_the_session_before(here: World, alice: Person) -> None:
    first = alice.browser.choose("pro-monthly", follow=False).headers["Location"]
    second = alice.browser.choose("starter-monthly", follow=False).headers["Location"]
    assert first != second
    assert "expired" in alice.browser.open(first).text.lower()
    with here.app.app_context():
        assert sorted(db.session.execute(select(Order.state)).scalars()) == ["expired", "open"]


def test_whoever_has_a_plan_is_led_to_changing_it(here: World, bob: Person) -> None:
    bob.browser.open("/pricing")
    assert "Your plan" in bob.browser.text
    token = bob.browser.forms()[0].fields["csrf_token"]
    answer = bob.browser.http.post(
        f"{here.base}/billing/checkout", data={"price": "starter-monthly", "csrf_token": token}
    )
    assert answer.status_code == 409
    assert "You were not charged" in answer.text
    assert "Change plan" in answer.text


def test_a_plan_paid_in_one_tab_is_not_sold_again_in_another(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    answer = alice.browser.choose("starter-monthly")
    assert answer.status_code == 409
    assert "not charged a second time" in answer.text
    subscriptions = here.stripe().v1.subscriptions.list({"status": "active"}).data
    mine = [one for one in subscriptions if "purchase" in one.metadata]
    with here.app.app_context():
        number = db.session.execute(select(Order.number)).scalar_one()
    assert [one.metadata["purchase"] for one in mine if one.metadata["purchase"] == number] == [number]


def test_the_free_plan_needs_no_stripe(here: World, alice: Person) -> None:
    here.fail(next=100, status=500)
    alice.browser.choose("free-monthly")
    assert "/billing/success?order=PO-" in alice.browser.page.url
    assert alice.browser.receipt(alice.browser.reveal()).json()["tier"] == "free"
    with here.app.app_context():
        assert count(Order) == 1


def test_the_billing_page_says_it_in_words(here: World, bob: Person) -> None:
    bob.browser.open("/billing")
    assert "Pro" in bob.browser.text
    assert "Renews on" in bob.browser.text
    assert "$49.99" in bob.browser.text
    assert "4242" in bob.browser.text


def test_the_way_to_stripe_s_portal_and_a_cancellation_there_shows_here(here: World, bob: Person) -> None:
    bob.browser.open("/billing")
    bob.browser.press("Manage payment method")
    assert bob.browser.page.url.startswith(here.sandbox.replace("127.0.0.1", "localhost"))
    subscription = here.stripe().v1.subscriptions.list({"limit": 1}).data[0]
    here.stripe().v1.subscriptions.update(
        subscription.id, {"cancel_at": subscription["items"].data[0].current_period_end}
    )
    here.flush()
    bob.browser.open("/billing")
    assert "Your Pro plan ends on" in bob.browser.text


@pytest.mark.parametrize(
    "path",
    ["/billing/success", "/billing/success?session_id=", "/billing/success?session_id={CHECKOUT_SESSION_ID}"],
)
def test_a_success_page_without_an_order_says_so(here: World, alice: Person, path: str) -> None:
    assert alice.browser.open(path).status_code == 400
    assert "opened by Stripe" in alice.browser.text


def test_a_session_that_never_existed_is_not_found(here: World, alice: Person) -> None:
    assert alice.browser.open("/billing/success?session_id=cs_live_never").status_code == 404


def test_somebody_else_s_session_is_not_found_and_shows_no_key(here: World, bob: Person, charlie: Person) -> None:
    with here.app.app_context():
        session_id, number = db.session.execute(select(Order.session_id, Order.number)).one()
    for query in (f"session_id={session_id}", f"order={number}"):
        assert charlie.browser.open(f"/billing/success?{query}").status_code == 404
        assert charlie.browser.open(f"/billing/success/state?{query}").status_code == 404
    charlie.browser.open("/pricing")
    token = charlie.browser.forms()[0].fields["csrf_token"]
    reveal = f"{here.base}/billing/success/reveal"
    answer = charlie.browser.http.post(reveal, data={"session_id": session_id, "csrf_token": token})
    assert answer.status_code == 404


def test_signed_out_a_session_id_alone_leads_to_sign_in_whether_it_exists_or_not(
    here: World, bob: Person, visitor: browsing.Browser
) -> None:
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id)).scalar_one()
    for given in (session_id, "cs_live_never"):
        visitor.open(f"/billing/success?session_id={given}")
        assert visitor.page.url.startswith(f"{here.base}/login")


def test_an_order_that_is_not_paid_says_so_and_leads_back_to_payment(here: World, alice: Person) -> None:
    checkout = alice.browser.choose("pro-monthly", follow=False).headers["Location"]
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id)).scalar_one()
    alice.browser.open(f"/billing/success?session_id={session_id}")
    assert "not paid yet" in alice.browser.text
    assert "You were not charged" in alice.browser.text
    assert re.search(re.escape(checkout.split("#")[0]), alice.browser.page.text)
    assert alice.browser.open(f"/billing/success/state?session_id={session_id}").json() == {"state": "unpaid"}


def test_an_expired_order_says_so(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly", follow=False)
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id)).scalar_one()
    here.stripe().v1.checkout.sessions.expire(session_id)
    alice.browser.open(f"/billing/success?session_id={session_id}")
    assert "expired" in alice.browser.text
    assert "You were not charged" in alice.browser.text


@pytest.mark.parametrize(
    "price", ["gold-monthly", "beta-monthly", "price_unknown", "", "pro-monthly'; --", "x" * 5000]
)
def test_what_is_not_on_sale_is_refused(here: World, alice: Person, price: str) -> None:
    alice.browser.open("/pricing")
    token = alice.browser.forms()[0].fields["csrf_token"]
    checkout = f"{here.base}/billing/checkout"
    answer = alice.browser.http.post(checkout, data={"price": price, "csrf_token": token})
    assert answer.status_code == 400
    assert "You were not charged" in answer.text
    with here.app.app_context():
        assert count(Order) == 0
