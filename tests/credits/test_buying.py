"""From the credits page to credits, without JavaScript and by the JSON API: once, whoever comes first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests
from sqlalchemy import select

from portal import mail
from portal.billing import seeding
from portal.credits import buying, packages
from portal.extensions import db
from portal.models import CreditEntry, CreditPackage, Customer, OutboxMail, Payment, Purchase
from portal.purchases import customers, fulfilment
from tests.conftest import Person
from tests.support import browsing, events
from tests.support.world import World, eventually

DEBIT = "DE89370400440532013000"


def balance(here: World, mode: str = "live") -> int:
    with here.app.app_context():
        return db.session.execute(select(Customer.credit_balance).filter_by(mode=mode)).scalar_one()


def entries(here: World) -> list[tuple[str, int, int]]:
    with here.app.app_context():
        query = select(CreditEntry.reason, CreditEntry.amount, CreditEntry.balance_after).order_by(CreditEntry.id)
        return [tuple(row) for row in db.session.execute(query)]


def begin(person: Person, package: str = "Basic") -> None:
    person.browser.open("/credits")
    person.browser.press(f"Buy {package}")


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
        assert (payment.amount, payment.credits, payment.status) == (4500, 5500, "succeeded")
        assert payment.receipt_url


def test_the_webhooks_alone_are_enough(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay(follow=False)
    here.flush()
    assert entries(here) == [("purchase", 5500, 5500)]


def test_page_webhook_and_replay_at_once_post_one_entry(here: World, alice: Person) -> None:
    begin(alice)
    mark = events.newest(here)
    success = alice.browser.pay(follow=False).headers["Location"]
    wanted = ("checkout.session.completed", "payment_intent.succeeded")
    raised = [event for event in events.since(here, mark) if event["type"] in wanted]
    with here.app.app_context():
        session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    start = Barrier(6)

    def replay() -> None:
        with here.app.app_context():
            fulfilment.fulfil("live", session_id)

    ways: list[Any] = [lambda event=event: events.deliver(here, event) for event in raised * 2]
    ways += [replay, lambda: alice.browser.http.get(success)]
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(lambda way=way: (start.wait(), way())) for way in ways]
        for one in done:
            one.result()
    assert entries(here) == [("purchase", 5500, 5500)]


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
        assert db.session.execute(select(Purchase)).first() is None


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


def test_a_bank_debit_is_credited_when_the_money_arrives(here: World, alice: Person) -> None:
    purchase = _unpaid_debit(here, alice)
    assert entries(here) == []
    alice.browser.open(f"/credits/success?session_id={purchase}")
    eventually(lambda: (here.flush(), entries(here))[1])
    assert entries(here) == [("purchase", 5500, 5500)]


def _unpaid_debit(here: World, alice: Person) -> str:
    """A session of Alice's paid by bank debit, which takes a while."""
    begin(alice)
    with here.app.app_context():
        session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    alice.browser.pay(follow=False, iban=DEBIT, method="sepa_debit", number="")
    return str(session_id)


def test_a_session_that_costs_something_else_is_parked_and_never_credited(here: World, alice: Person) -> None:
    begin(alice)
    with here.app.app_context():
        db.session.execute(select(Purchase)).scalar_one().amount = 9900
        db.session.commit()
    mark = events.newest(here)
    alice.browser.pay(follow=False)
    raised = {event["type"]: event for event in events.since(here, mark)}
    for kind in ("checkout.session.completed", "payment_intent.succeeded"):
        assert events.deliver(here, raised[kind]).json()["status"] == "parked"
    assert entries(here) == []


def test_another_s_session_is_not_found(here: World, alice: Person, charlie: Person) -> None:
    begin(alice)
    with here.app.app_context():
        session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    for path in ("/credits/success", "/credits/success/state", "/billing/success"):
        assert charlie.browser.open(f"{path}?session_id={session_id}").status_code == 404


def test_credits_bring_no_key(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay()
    session_id = alice.browser.page.url.split("session_id=")[1]
    assert alice.browser.open(f"/billing/success?session_id={session_id}").status_code == 404


def test_an_unpaid_order_says_so(here: World, alice: Person) -> None:
    begin(alice)
    with here.app.app_context():
        session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    alice.browser.open(f"/credits/success?session_id={session_id}")
    assert "not paid yet" in alice.browser.text
    assert "You were not charged" in alice.browser.text


def test_several_purchases_may_be_open_at_once(here: World, alice: Person, visitor: browsing.Browser) -> None:
    begin(alice)
    first = alice.browser.page.url
    begin(alice, "Pro")
    alice.browser.pay()
    alice.browser.open(first)
    alice.browser.pay()
    assert balance(here) == 19_000


def test_seeding_again_changes_nothing(here: World) -> None:
    from portal import catalogue

    with here.app.app_context():
        settings = here.app.extensions["settings"]
        done = seeding.seed(catalogue.read(settings.catalogue), settings.price_ids)
        assert len(done.packages) == 6
        assert all(line.startswith("Unchanged") for line in done.packages)


# The JSON API (seed 3)


@pytest.fixture
def key(alice: Person) -> str:
    alice.browser.open("/keys")
    alice.browser.press("Create key", name="server")
    return browsing.key_in(alice.browser.page.text)


def ask(here: World, key: str, method: str, path: str, body: object = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(method, f"{here.base}/api/credits{path}", json=body, headers=headers, timeout=30)


@pytest.mark.parametrize("package", [2, "basic"])
def test_a_purchase_by_the_api(here: World, alice: Person, key: str, package: object) -> None:
    answer = ask(here, key, "POST", "/purchase", {"package_id": package, "payment_method": "stripe"})
    assert answer.status_code == 200, answer.text
    facts = answer.json()
    assert (facts["success"], facts["message"]) == (True, "Checkout session created")
    alice.browser.open(facts["payment_url"])
    alice.browser.pay(follow=False)
    session_id = facts["payment_url"].split("/c/pay/")[1].split("#")[0]
    session = ask(here, key, "GET", f"/session/{session_id}").json()
    assert session["success"] is True
    found = session["session"]
    assert (found["id"], found["payment_status"], found["amount_total"]) == (session_id, "paid", 4500)
    assert found["metadata"]["kind"] == "credits"
    assert balance(here) == 5500


def test_a_custom_purchase_by_the_api(here: World, alice: Person, key: str) -> None:
    answer = ask(here, key, "POST", "/purchase", {"package_id": "custom", "amount": 25})
    assert answer.status_code == 200, answer.text
    with here.app.app_context():
        assert db.session.execute(select(Purchase.credits, Purchase.amount)).one() == (2500, 2500)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"package_id": 6}, "package_id"),
        ({"package_id": 0}, "package_id"),
        ({"package_id": -1}, "package_id"),
        ({"package_id": 100}, "package_id"),
        ({"package_id": "gold"}, "package_id"),
        ({}, "package_id"),
        ({"package_id": 1, "payment_method": "paypal"}, "payment_method"),
        ({"package_id": 1, "amount": 5}, "amount"),
        ({"package_id": "custom"}, "amount"),
        ({"package_id": "custom", "amount": 0}, "amount"),
        ({"package_id": "custom", "amount": -1}, "amount"),
        ({"package_id": "custom", "amount": 1.5}, "amount"),
        ({"package_id": "custom", "amount": 0.001}, "amount"),
        ({"package_id": "custom", "amount": 1001}, "amount"),
        ({"package_id": "custom", "amount": 1e300}, "amount"),
        ({"package_id": "custom", "amount": 10**18}, "amount"),
        ({"package_id": 1, "quantity": 2}, "quantity"),
    ],
)
def test_a_bad_purchase_names_its_field(here: World, key: str, body: object, field: str) -> None:
    answer = ask(here, key, "POST", "/purchase", body)
    assert answer.status_code == 400, answer.text
    assert any(name.startswith(field) for name in answer.json()["errors"]), answer.text
    assert answer.json()["success"] is False
    with here.app.app_context():
        assert db.session.execute(select(Purchase)).first() is None


def test_a_stranger_s_session_by_the_api_is_not_found(
    here: World, alice: Person, charlie: Person, key: str
) -> None:
    begin(charlie)
    with here.app.app_context():
        session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    for given in (session_id, "cs_live_never", "cs_live_' OR 1"):
        assert ask(here, key, "GET", f"/session/{given}").status_code == 404


def test_the_mails_say_what_happened(here: World, alice: Person) -> None:
    """Every mail of the room renders, as text and as HTML, with the numbers that it reports."""
    begin(alice)
    alice.browser.pay()
    with here.app.app_context():
        intent = db.session.execute(select(Purchase.payment_intent)).scalar_one()
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.flush()
    with here.app.app_context():
        mail.send_due()
    folder = Path(here.app.extensions["settings"].instance_path) / "outbox"
    added, taken = (next(folder.glob(f"{kind}*")).read_text() for kind in ("credits-added", "credits-reversed"))
    for words in ("Subject: 5,500 credits were added", "$45.00", "text/html", f"{here.base}/credits"):
        assert words in added
    for words in ("Subject: Your payment was refunded", "$9.00", "-1,100", "4,400"):
        assert words in taken


def test_credits_bought_in_test_mode_never_show_in_the_live_balance(here: World, alice: Person) -> None:
    with here.app.test_request_context():
        customer = customers.of(alice.user, "test")
        db.session.commit()
        url = buying.begin(customer, packages.find("basic", "test"), front=here.base).session_url
    assert url
    alice.browser.open(url)
    alice.browser.pay(follow=False)
    here.flush()
    assert balance(here, "test") == 5500
    alice.browser.open("/credits")
    assert "Balance 0 credits" in alice.browser.text
    with here.app.app_context():
        session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    assert alice.browser.open(f"/credits/success?session_id={session_id}").status_code == 404


def test_a_crash_before_the_commit_loses_nothing_and_a_replay_doubles_nothing(here: World, alice: Person) -> None:
    begin(alice)
    mark = events.newest(here)
    alice.browser.pay(follow=False)
    event = next(one for one in events.since(here, mark) if one["type"] == "checkout.session.completed")
    with here.app.app_context():
        snapshot = fulfilment.read("live", event["data"]["object"]["id"])
        assert fulfilment.apply(snapshot) is not None
        db.session.rollback()  # what dying here leaves
    assert entries(here) == []
    assert [events.deliver(here, event).json()["status"] for _ in range(2)] == ["processed", "duplicate"]
    assert entries(here) == [("purchase", 5500, 5500)]
