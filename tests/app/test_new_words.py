"""Words that Stripe adds later: a sync stores them, pages show them as they are, and they grant nothing."""

import pytest
from sqlalchemy import select, update

from portal import mail
from portal.billing import invoices, subscriptions
from portal.customers import access
from portal.enums import Mode
from portal.extensions import db
from portal.models import (
    BillState,
    Customer,
    Invoice,
    MonthlyBill,
    Order,
    OrderState,
    Payment,
    PaymentStatus,
    Reversal,
    Subscription,
    TopUpRule,
)
from portal.payments import reversal_sync
from portal.payments.reversal_effects import sources
from portal.sync import versions
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.credits import begin, buy
from tests.support.world import World

WORD = "on_hold"
PAGES = (
    "/account",
    "/billing",
    "/billing/change",
    "/billing/cancel",
    "/credits",
    "/history",
    "/history.csv",
    "/keys",
    "/pricing",
    "/usage",
)


@pytest.fixture
def admin(ada: Person) -> Browser:
    return ada.browser


def showing(someone: Person, admin: Browser) -> set[str]:
    """Open every page about somebody's money, check that none fails, and return the paths that show the word."""
    pages = [(someone.browser, path) for path in PAGES]
    pages += [(admin, path) for path in ("/admin", f"/admin/customers/{someone.user_id}", "/admin/events")]
    for browser, path in pages:
        assert browser.open(path).status_code < 500, path
    return {path for browser, path in pages if WORD in browser.open(path).text}


def test_a_new_status_of_a_subscription(here: World, bob: Person, admin: Browser) -> None:
    with here.app.app_context():
        stripe_id = db.session.execute(select(Subscription.stripe_id)).scalar_one()
        db.session.commit()
        here.rewrite(stripe_id, status=WORD)
        row = subscriptions.sync(Mode.LIVE, stripe_id)
        assert row is not None
        assert row.status == WORD
        assert access.of(db.session.execute(select(Customer)).scalar_one()).tier == "free"
        db.session.commit()
    assert {"/billing", "/admin", f"/admin/customers/{bob.user_id}"} <= showing(bob, admin)


def test_a_new_status_of_an_invoice(here: World, bob: Person, admin: Browser) -> None:
    with here.app.app_context():
        stripe_id = db.session.execute(select(Invoice.stripe_id)).scalar_one()
        db.session.commit()
        here.rewrite(stripe_id, status=WORD)
        assert invoices.sync(Mode.LIVE, stripe_id) == WORD
        assert db.session.execute(select(Invoice.status)).scalar_one() == WORD
        db.session.commit()
    assert {"/billing", "/history", "/history.csv", f"/admin/customers/{bob.user_id}"} <= showing(bob, admin)


def test_a_new_status_of_a_refund(here: World, alice: Person, admin: Browser) -> None:
    buy(here, alice)
    with here.app.app_context():
        payment = db.session.execute(select(Payment)).scalar_one()
        charge, intent = payment.charge_id, payment.stripe_id
        db.session.commit()
    refund = here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.rewrite(refund.id, status=WORD)
    with here.app.app_context():
        assert charge is not None
        assert reversal_sync.sync_reversals(Mode.LIVE, charge) is not None
        assert db.session.execute(select(Reversal.status, Reversal.withdrawn)).one() == (WORD, 0)
        assert db.session.execute(select(Customer.credit_balance)).scalar_one() == 5500
        db.session.commit()
    assert {"/history", "/history.csv", f"/admin/customers/{alice.user_id}"} <= showing(alice, admin)


def test_a_new_status_of_a_dispute_takes_the_credits_and_is_told_to_admins(
    here: World, alice: Person, admin: Browser
) -> None:
    buy(here, alice)
    with here.app.app_context():
        payment = db.session.execute(select(Payment)).scalar_one()
        charge, intent = payment.charge_id, payment.stripe_id
        db.session.commit()
    here.control(f"disputes/{intent}")
    dispute = here.stripe().v1.disputes.list().data[0].id
    here.rewrite(dispute, status=WORD)
    with here.app.app_context():
        assert charge is not None
        assert reversal_sync.sync_reversals(Mode.LIVE, charge) is not None
        assert db.session.execute(select(Reversal.status, Reversal.withdrawn)).one() == (WORD, 4500)
        assert db.session.execute(select(Customer.credit_balance)).scalar_one() == 0
        db.session.commit()
        mail.send_due()
        folder = here.app.extensions["settings"].instance_path / "outbox"
        told = [path.read_text() for path in folder.glob("*")]
        assert [text for text in told if "Payment disputed" in text and "on hold" in text]
    assert {"/history", "/history.csv", f"/admin/customers/{alice.user_id}"} <= showing(alice, admin)


def test_a_new_status_of_a_payment_pays_nothing(here: World, alice: Person, admin: Browser) -> None:
    here.hold_settlements()
    begin(alice)
    alice.browser.pay(iban="DE89370400440532013000", method="sepa_debit", number="")
    here.flush()
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id)).scalar_one()
        db.session.commit()
    here.rewrite(intent, status=WORD)
    with here.app.app_context():
        snapshot = sources["order"].read(Mode.LIVE, intent)
        versions.hold([snapshot])
        sources["order"].apply(snapshot)
        db.session.commit()
        assert db.session.execute(select(Customer.credit_balance)).scalar_one() == 0
        assert db.session.execute(select(Payment.status)).scalar_one() == PaymentStatus.PROCESSING
        db.session.commit()
    showing(alice, admin)


def test_orders_and_bills_in_review_are_shown(here: World, alice: Person, admin: Browser) -> None:
    """Our own words: the database takes no others, and the pages know all of them."""
    buy(here, alice)
    with here.app.app_context():
        customer = db.session.execute(select(Customer)).scalar_one()
        db.session.execute(update(Order).values(state=OrderState.UNCLEAR, auto=True))
        bill = MonthlyBill(customer_id=customer.id, mode=Mode.LIVE, month=202610, amount=100, currency="usd")
        bill.state, bill.created_at = BillState.UNCLEAR, customer.created_at
        db.session.add_all([bill, TopUpRule(customer_id=customer.id, updated_at=customer.created_at)])
        db.session.commit()
    for path in ("/credits", "/usage"):
        alice.browser.open(path)
        assert "In review" in alice.browser.text, path
    showing(alice, admin)
