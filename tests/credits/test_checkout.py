"""From the credits page to credits, without JavaScript."""

from pathlib import Path

import pytest
from sqlalchemy import select

from portal import mail
from portal.catalogue import load, packages
from portal.credits.orders import checkout
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import CreditPackage, Order, OutboxMail, Payment
from tests.conftest import Person
from tests.support.credits import balance, begin, entries, session_id
from tests.support.world import World


def test_buying_basic_brings_5500_credits_once(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay()
    assert alice.browser.page.url.startswith(f"{here.base}/credits/success?session_id=cs_live_")
    assert "5,500 credits were added" in alice.browser.text
    here.flush()
    alice.browser.open(alice.browser.page.url)
    assert entries(here) == [("purchase", 5500, 5500)]
    assert "5,500 credits" in alice.browser.text
    with here.app.app_context():
        assert list(db.session.execute(select(OutboxMail.template).filter_by(template="credits_added")).scalars())
        payment = db.session.execute(select(Payment)).scalar_one()
        assert (payment.amount, payment.kind, payment.status) == (4500, "credits", "succeeded")
        assert payment.receipt_url


def test_the_payment_carries_a_receipt_address(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay()
    intent = here.stripe().v1.payment_intents.list({"limit": 1}).data[0]
    assert intent.receipt_email == "alice@example.com"
    assert intent.metadata["portal_mode"] == "live"


def test_a_custom_amount_is_a_hundred_credits_a_dollar(here: World, alice: Person) -> None:
    alice.browser.open("/credits")
    alice.browser.press("Buy custom amount", amount="$25")
    alice.browser.pay()
    assert "2,500 credits were added" in alice.browser.text
    assert balance(here) == 2500


@pytest.mark.parametrize("amount", ["", "0", "-5", "0.50", "25.50", "1000.01", "1001", "ten", "1e3", "9" * 400])
def test_a_bad_custom_amount_is_said_at_its_field(here: World, alice: Person, amount: str) -> None:
    alice.browser.open("/credits")
    answer = alice.browser.press("Buy custom amount", amount=amount)
    assert answer.status_code == 400
    assert "Please check what you entered" in answer.text
    with here.app.app_context():
        assert db.session.execute(select(Order)).first() is None


@pytest.mark.parametrize("package", ["", "gold", "1'; --", "pro-monthly"])
def test_an_unknown_package_is_refused(here: World, alice: Person, package: str) -> None:
    alice.browser.open("/credits")
    form = alice.browser.form("Buy Basic")
    answer = alice.browser.http.post(form.action, data=form.fields | {"package": package})
    assert answer.status_code == 400
    assert "You were not charged" in answer.text


def test_a_withdrawn_package_is_not_sold(here: World, alice: Person) -> None:
    with here.app.app_context():
        db.session.get_one(CreditPackage, 2).withdrawn = True
        db.session.commit()
    alice.browser.open("/credits")
    assert "Buy Basic" not in alice.browser.page.text
    form = alice.browser.form("Buy Pro")
    assert alice.browser.http.post(form.action, data=form.fields | {"package": "basic"}).status_code == 400


def test_the_page_shows_price_and_price_per_credit_and_the_best_value_once(here: World, alice: Person) -> None:
    alice.browser.open("/credits")
    for words in ("$45.00", "$0.008 a credit", "$0.010 a credit", "$0.006 a credit", "120,000"):
        assert words in alice.browser.text
    assert alice.browser.text.count("Best value") == 1


def test_another_s_session_is_not_found(here: World, alice: Person, charlie: Person) -> None:
    begin(alice)
    order = session_id(here)
    for path in ("/credits/success", "/credits/success/state", "/billing/success"):
        assert charlie.browser.open(f"{path}?session_id={order}").status_code == 404


def test_credits_bring_no_key(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay()
    order = alice.browser.page.url.split("session_id=")[1]
    assert alice.browser.open(f"/billing/success?session_id={order}").status_code == 404


def test_an_unpaid_order_says_so(here: World, alice: Person) -> None:
    begin(alice)
    order = session_id(here)
    alice.browser.open(f"/credits/success?session_id={order}")
    assert "not paid yet" in alice.browser.text
    assert "You were not charged" in alice.browser.text


def test_seeding_again_changes_nothing(here: World) -> None:
    from portal.catalogue import catalogue_file

    with here.app.app_context():
        settings = here.app.extensions["settings"]
        done = load.into_database(catalogue_file.read(settings.catalogue), settings.price_ids)
        assert len(done.packages) == 6
        assert all(line.startswith("Unchanged") for line in done.packages)


def test_the_mails_say_what_happened(here: World, alice: Person) -> None:
    """Every mail of the room renders, as text and as HTML, with the numbers that it reports."""
    begin(alice)
    alice.browser.pay()
    with here.app.app_context():
        intent = db.session.execute(select(Order.payment_intent)).scalar_one()
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.flush()
    with here.app.app_context():
        mail.send_due()
    folder = Path(here.app.extensions["settings"].instance_path) / "outbox"
    added, taken = (next(folder.glob(f"{kind}*")).read_text() for kind in ("credits-added", "reversed-re"))
    for words in ("Subject: 5,500 credits were added", "$45.00", "text/html", f"{here.base}/credits"):
        assert words in added
    for words in ("Subject: Your payment was refunded", "$9.00", "−1,100", "4,400"):
        assert words in taken


def test_credits_bought_in_test_mode_never_show_in_the_live_balance(here: World, alice: Person) -> None:
    with here.app.test_request_context():
        customer = stripe_customers.of(alice.user, "test")
        db.session.commit()
        url = checkout.begin(customer, packages.find("basic", "test"), front=here.base).session_url
    assert url
    alice.browser.open(url)
    alice.browser.pay(follow=False)
    here.flush()
    assert balance(here, "test") == 5500
    alice.browser.open("/credits")
    assert "Balance 0 credits" in alice.browser.text
    order = session_id(here)
    assert alice.browser.open(f"/credits/success?session_id={order}").status_code == 404
