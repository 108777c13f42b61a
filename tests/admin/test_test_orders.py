"""Test purchases: the same functions, webhooks and ledger as live ones, and never on live data."""

import pytest
import requests
from sqlalchemy import select

from portal.customers import access
from portal.extensions import db
from portal.models import CreditEntry, Customer, Order, RefundRequest, Subscription
from tests.conftest import Person
from tests.support import looking
from tests.support.browsing import Browser
from tests.support.world import World


def buy(admin: Browser, user_id: int, item: str, card: str = "success", **more: str) -> str:
    """Create a test purchase on the page, and return the order's number."""
    admin.open(f"/admin/test-billing/{user_id}")
    admin.press("Create test purchase", **{"item": item, "card": card, "trial": "0"} | more)
    assert "/purchases/PO-" in admin.page.url, admin.text
    return admin.page.url.rpartition("/")[2]


def order(here: World, number: str) -> Order:
    with here.app.app_context():
        return db.session.execute(select(Order).filter_by(number=number)).scalar_one()


def the_customer(here: World) -> Customer:
    with here.app.app_context():
        return db.session.execute(select(Customer).filter_by(mode="test")).scalar_one()


def tier(here: World) -> str:
    with here.app.app_context():
        return access.of(db.session.execute(select(Customer).filter_by(mode="test")).scalar_one()).tier


PLANS = {
    "success": ("paid", "active"),
    "decline": ("failed", "incomplete"),
    "requires_auth": ("open", "incomplete"),
}


@pytest.mark.parametrize("card", PLANS)
def test_a_plan_is_bought_for_anybody_with_a_card_of_each_kind(
    here: World, admin: Browser, bob: Person, card: str
) -> None:
    here.flush()  # what Bob's own purchase brought about in turn
    before = looking.live(here)
    number = buy(admin, bob.user_id, "plan:pro-monthly", card)
    here.flush()
    admin.open(admin.page.url)
    state, status = PLANS[card]
    assert order(here, number).state == state
    with here.app.app_context():
        mine = db.session.execute(select(Subscription).filter_by(mode="test")).scalar_one()
        assert mine.status == status
    assert looking.live(here) == before
    assert tier(here) == ("pro" if status == "active" else "free")
    assert "customer.subscription.created" in admin.text
    there = requests.get(admin.link(mine.stripe_id), timeout=30).text
    assert f"{mine.stripe_id}, in test mode" in there
    assert "TEST MODE: no real charges" in admin.text


@pytest.mark.parametrize("card", ["success", "decline", "requires_auth", "fails_later"])
def test_credits_are_bought_for_anybody_with_a_card_of_each_kind(
    here: World, admin: Browser, bob: Person, card: str
) -> None:
    here.flush()  # what Bob's own purchase brought about in turn
    before = looking.live(here)
    number = buy(admin, bob.user_id, "credits:basic", card)
    here.flush()
    admin.open(admin.page.url)
    paid = card == "success"
    assert order(here, number).state == ("paid" if paid else "failed")
    assert the_customer(here).credit_balance == (5500 if paid else 0)
    assert ("payment_intent.succeeded" if paid else "payment_intent.payment_failed") in admin.text
    assert order(here, number).payment_intent is not None
    assert looking.live(here) == before


@pytest.mark.both_databases
def test_the_same_form_sent_twice_buys_once(here: World, admin: Browser, bob: Person) -> None:
    admin.open(f"/admin/test-billing/{bob.user_id}")
    form = admin.form("Create test purchase")
    data = form.fields | {"item": "credits:basic", "card": "success", "trial": "0"}
    pages = {admin.http.post(form.action, data=data, timeout=30).url for _ in range(2)}
    assert len(pages) == 1
    here.flush()
    assert the_customer(here).credit_balance == 5500


def test_as_the_customer_would_by_checkout(here: World, admin: Browser, bob: Person) -> None:
    admin.open(f"/admin/test-billing/{bob.user_id}")
    form = admin.form("Create test purchase")
    data = form.fields | {"item": "credits:starter", "card": "success", "trial": "0", "way": "checkout"}
    admin.page = admin.http.post(form.action, data=data, timeout=30)
    admin.open(admin.link("Open checkout"))
    admin.pay()
    assert "/admin/test-billing/purchases/PO-" in admin.page.url
    here.flush()
    assert the_customer(here).credit_balance == 1000


def test_refund_dispute_cancel_and_reset(here: World, admin: Browser, bob: Person) -> None:
    here.flush()  # what Bob's own purchase brought about in turn
    before = looking.live(here)
    buy(admin, bob.user_id, "credits:basic")
    here.flush()
    admin.press("Refund")
    assert "The refund is ordered" in admin.text
    here.flush()
    assert the_customer(here).credit_balance == 0
    assert "Refunded" in admin.open(admin.page.url).text or "refund" in admin.text
    buy(admin, bob.user_id, "credits:basic", "dispute")
    here.flush()
    assert the_customer(here).credit_balance == 0
    buy(admin, bob.user_id, "credits:basic")
    here.flush()
    assert the_customer(here).credit_balance == 5500
    admin.open(admin.page.url)
    form = admin.form("Dispute")
    admin.press("Dispute")
    here.flush()
    assert the_customer(here).credit_balance == 0
    assert "charge.dispute.funds_withdrawn" in admin.open(admin.page.url).text
    offered = {button for one in admin.forms() for button in one.buttons}
    assert offered.isdisjoint({"Refund", "Dispute"})  # Stripe takes neither any more
    again = admin.http.post(form.action, data=form.fields, timeout=30)
    assert again.status_code == 409
    assert "cannot be disputed any more" in again.text
    assert "Back to the overview" in again.text
    buy(admin, bob.user_id, "credits:basic")
    buy(admin, bob.user_id, "plan:pro-monthly")
    here.flush()
    admin.open(f"/admin/test-billing/{bob.user_id}")
    admin.press("Create test purchase", trial="0", item="plan:starter-monthly", card="success")
    assert "A test plan runs already." in admin.text
    admin.press("Cancel now")
    assert tier(here) == "free"
    admin.press("Reset test data")
    assert "The test data is reset." in admin.text
    assert the_customer(here).credit_balance == 0
    assert looking.live(here) == before


def test_a_plan_s_first_payment_is_disputed(here: World, admin: Browser, bob: Person) -> None:
    number = buy(admin, bob.user_id, "plan:pro-monthly")
    here.flush()
    admin.open(admin.page.url)
    admin.press("Dispute")
    here.flush()
    assert "charge.dispute.created" in admin.open(f"/admin/test-billing/purchases/{number}").text


def test_at_stripe_itself_no_payment_is_disputed_on_demand(
    here: World, admin: Browser, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = buy(admin, bob.user_id, "credits:basic")
    here.flush()
    form = admin.open(f"/admin/test-billing/purchases/{number}") and admin.form("Dispute")
    settings = here.app.extensions["settings"]
    elsewhere = settings.model_copy(update={"stripe_api_base": "https://api.stripe.com"})
    monkeypatch.setitem(here.app.extensions, "settings", elsewhere)
    assert "Dispute<" not in admin.open(f"/admin/test-billing/purchases/{number}").text
    assert "https://dashboard.stripe.com/test/payments/pi_" in admin.page.text
    assert admin.http.post(form.action, data=form.fields, timeout=30).status_code == 409


@pytest.mark.both_databases
def test_two_refunds_of_one_payment_at_once_give_back_once(here: World, admin: Browser, bob: Person) -> None:
    buy(admin, bob.user_id, "credits:basic")
    here.flush()
    admin.open(admin.page.url)
    forms = [admin.form("Refund").fields for _ in range(1)]
    admin.open(admin.page.url)
    forms.append(admin.form("Refund").fields)
    action = admin.form("Refund").action
    answers = [admin.http.post(action, data=data, timeout=30).status_code for data in [*forms, forms[0]]]
    here.flush()
    assert answers[0] == 200
    assert 409 in answers or 400 in answers
    with here.app.app_context():
        assert len(db.session.execute(select(RefundRequest).filter_by(state="done")).all()) == 1
        refunds = select(CreditEntry.amount).filter_by(reason="refund")
        assert list(db.session.execute(refunds).scalars()) == [-5500]


def test_a_test_event_is_answered_by_our_own_endpoint(here: World, admin: Browser, bob: Person) -> None:
    buy(admin, bob.user_id, "plan:pro-monthly")
    here.flush()
    admin.open(f"/admin/test-billing/{bob.user_id}")
    admin.press("Send test event", type="customer.subscription.updated")
    assert "Our endpoint answered 200." in admin.text
    assert '"status":"processed"' in admin.text.replace("&#34;", '"').replace(" ", "")
    admin.press("Send test event", type="charge.refunded")
    assert '"status":"parked"' in admin.text.replace("&#34;", '"').replace(" ", "")
    admin.press("Send test event", type="product.created")
    assert admin.page.status_code == 400


def test_a_live_key_in_the_test_lane_is_refused_by_name(
    here: World, admin: Browser, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here.app.extensions["gateway"]["test"], "livemode", True)
    admin.open(f"/admin/test-billing/{bob.user_id}")
    admin.press("Create test purchase", trial="0", item="credits:basic", card="success")
    assert admin.page.status_code == 409
    assert "STRIPE_TEST_SECRET_KEY is a live key" in admin.text


def test_support_looks_and_buys_nothing(here: World, support: Browser, bob: Person) -> None:
    support.open(f"/admin/test-billing/{bob.user_id}")
    assert (
        support.press("Create test purchase", trial="0", item="credits:basic", card="success").status_code == 403
    )


def test_a_user_who_is_gone_and_bad_choices_are_refused(here: World, admin: Browser, bob: Person) -> None:
    assert admin.open("/admin/test-billing/999999").status_code == 404
    admin.open(f"/admin/test-billing/{bob.user_id}")
    assert admin.press("Create test purchase", trial="0", item="plan:gold", card="success").status_code == 400
    assert admin.press("Create test purchase", trial="0", item="credits:basic", card="gold").status_code == 400
    assert admin.open("/admin/test-billing/purchases/PO-NOTHING").status_code == 404


def test_an_order_without_an_answer_is_paid_once(here: World, admin: Browser, bob: Person) -> None:
    admin.open(f"/admin/test-billing/{bob.user_id}")
    here.fail(next=2, path="/v1/payment_intents", after=True, status=200)
    admin.press("Create test purchase", trial="0", item="credits:basic", card="success")
    assert admin.page.status_code == 503
    here.fail(next=0)
    number = order_number(here)
    admin.open(f"/admin/test-billing/purchases/{number}")
    admin.press("Check again")
    here.flush()
    assert order(here, number).state == "paid"
    assert the_customer(here).credit_balance == 5500


def order_number(here: World) -> str:
    with here.app.app_context():
        return db.session.execute(select(Order.number).filter_by(mode="test")).scalar_one()


def test_a_reset_ends_the_checkout_page_of_before(here: World, admin: Browser, bob: Person) -> None:
    buy(admin, bob.user_id, "credits:basic", way="checkout")
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id).filter_by(mode="test")).scalar_one()
    admin.open(f"/admin/test-billing/{bob.user_id}")
    admin.press("Reset test data")
    assert here.stripe("test").v1.checkout.sessions.retrieve(session_id).status == "expired"
    assert order(here, order_number(here)).state == "expired"
