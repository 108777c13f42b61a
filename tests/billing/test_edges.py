"""Edge cases: orders that blocked others, visitors who are not signed in, unusual input."""

import threading
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, update

from portal.extensions import db
from portal.models import Order, Price, Subscription, SyncTicket
from portal.settings import Settings
from tests.conftest import Person
from tests.support import browsing
from tests.support.world import World


def count(model: type) -> int:
    return db.session.execute(select(func.count()).select_from(model)).scalar_one()


def token(browser: browsing.Browser) -> str:
    browser.open("/pricing")
    return browser.forms()[0].fields["csrf_token"]


def test_a_refused_session_stands_in_the_way_of_no_other(here: World, alice: Person) -> None:
    stripe = here.stripe()
    pro = stripe.v1.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    stripe.v1.prices.update(pro, {"active": False})
    try:
        refused = alice.browser.choose("pro-monthly")
        assert refused.status_code == 409
        assert "You were not charged" in refused.text
        assert alice.browser.choose("starter-monthly").url.startswith(
            here.sandbox.replace("127.0.0.1", "localhost")
        )
    finally:
        stripe.v1.prices.update(pro, {"active": True})


def test_nobody_is_sent_to_pay_another_price_than_the_page_says(here: World, alice: Person) -> None:
    with here.app.app_context():
        db.session.execute(update(Price).where(Price.key == "pro-monthly").values(amount=5999))
        db.session.commit()
    answer = alice.browser.choose("pro-monthly")
    assert answer.status_code == 409
    assert "You were not charged" in answer.text
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        assert order.state == "failed"
        assert here.stripe().v1.checkout.sessions.retrieve(order.session_id).status == "expired"
    assert alice.browser.choose("starter-monthly").ok


@pytest.mark.parametrize("status", ["past_due", "unpaid", "paused", "trialing"])
def test_no_second_subscription_beside_one_that_may_be_charged_again(
    here: World, bob: Person, status: str
) -> None:
    csrf = token(bob.browser)
    with here.app.app_context():
        db.session.execute(update(Subscription).values(status=status))
        db.session.commit()
    data = {"price": "starter-monthly", "csrf_token": csrf}
    assert bob.browser.http.post(f"{here.base}/billing/checkout", data=data).status_code == 409


@pytest.mark.both_databases
def test_the_free_plan_is_ordered_once_by_many_clicks(here: World, alice: Person) -> None:
    data = {"price": "free-monthly", "csrf_token": token(alice.browser)}
    cookies = alice.browser.http.cookies

    def click() -> None:
        requests.post(f"{here.base}/billing/checkout", data=data, cookies=cookies, timeout=30)

    clicks = [threading.Thread(target=click) for _ in range(6)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    with here.app.app_context():
        assert count(Order) == 1


def test_a_copied_cookie_reveals_nothing_after_sign_out(here: World, alice: Person) -> None:
    alice.browser.buy("pro-monthly")
    form = alice.browser.form("Reveal my API key")
    copied = requests.Session()
    copied.cookies.update(alice.browser.http.cookies)
    alice.browser.press("Sign out")
    answer = copied.post(form.action, data=form.fields, timeout=30)
    assert "key_live_" not in answer.text
    assert "/login" in answer.url


@pytest.mark.parametrize(
    "session_id",
    ["cs_live_x/../../../customers", "cs_live_x?limit=1", "cs_live_junk1", "x" * 400, "\x00", "sub_1"],
)
def test_a_made_up_session_id_reaches_nothing_and_leaves_nothing(
    here: World, alice: Person, visitor: browsing.Browser, session_id: str
) -> None:
    with here.app.app_context():
        before = count(SyncTicket)
    assert alice.browser.open("/billing/success", params={"session_id": session_id}).status_code in (400, 404)
    visitor.open("/billing/success", params={"session_id": session_id})
    assert visitor.page.status_code == 200
    assert "/login" in visitor.page.url
    with here.app.app_context():
        assert count(SyncTicket) == before


def test_a_nul_is_refused_wherever_it_is_typed(here: World, alice: Person) -> None:
    assert alice.browser.open("/billing/success", params={"order": "\x00"}).status_code in (400, 404)
    data = {"price": "\x00", "csrf_token": token(alice.browser)}
    assert alice.browser.http.post(f"{here.base}/billing/checkout", data=data).status_code == 400
    alice.browser.open("/keys")
    assert alice.browser.press("Create key", name="a\x00b").status_code < 500


def test_a_chunked_body_is_read(here: World, alice: Person) -> None:
    alice.browser.choose("free-monthly")
    headers = {"Authorization": f"Bearer {alice.browser.reveal()}", "Content-Type": "application/json"}
    answer = requests.post(
        f"{here.base}/api/auth/stripe/checkout",
        data=iter([b'{"price_id": ', b'"pro-monthly"}']),
        headers=headers,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def test_a_signature_in_no_alphabet_is_refused(here: World) -> None:
    answer = requests.post(
        f"{here.base}/stripe/webhook",
        data="{}",
        headers={"Stripe-Signature": "t=1,v1=\xe9".encode("latin-1")},
        timeout=30,
    )
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_what_a_stranger_chooses_is_looked_at_before_they_sign_up(here: World, visitor: browsing.Browser) -> None:
    for word in ("nonsense", "beta-monthly"):
        data = {"price": word, "csrf_token": token(visitor)}
        assert visitor.http.post(f"{here.base}/billing/checkout", data=data).status_code == 400


def test_a_choice_survives_stripe_s_bad_moment(here: World, visitor: browsing.Browser) -> None:
    visitor.choose("pro-monthly")
    assert "You're buying Pro, $49.99 a month" in visitor.text
    here.fail(next=50, status=500)
    visitor.press("Create account", name="Dora", email="dora@example.com", password="a good long password")
    assert visitor.page.status_code == 503
    assert "You were not charged" in visitor.text
    here.fail(next=0)
    visitor.open("/billing/resume")
    assert visitor.page.url.startswith(here.sandbox.replace("127.0.0.1", "localhost"))


def test_a_metered_price_is_sold_without_a_quantity(here: World, alice: Person, monkeypatch: Any) -> None:
    stripe = here.stripe()
    meter = stripe.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls_made", "default_aggregation": {"formula": "sum"}}
    )
    price = stripe.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 7,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
            "product_data": {"name": "Pay as you go"},
            "metadata": {"tier": "starter"},
        }
    ).id
    settings: Settings = here.app.extensions["settings"]
    allowing = settings.model_copy(update={"stripe_allowed_price_ids": frozenset({price})})
    csrf = token(alice.browser)
    monkeypatch.setitem(here.app.extensions, "settings", allowing)
    alice.browser.page = alice.browser.http.post(
        f"{here.base}/billing/checkout", data={"price": price, "csrf_token": csrf}, timeout=30
    )
    alice.browser.pay()
    assert alice.browser.receipt(alice.browser.reveal()).json()["tier"] == "starter"


def test_wrong_keys_are_counted(here: World, http: Any) -> None:
    here.app.config["RATELIMIT_ENABLED"] = True
    try:
        answers = {http.get("/v1/receipt").status_code for _ in range(62)}
    finally:
        here.app.config["RATELIMIT_ENABLED"] = False
    assert answers == {401, 429}
