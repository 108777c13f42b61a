"""`flask reconcile`: it prints nothing if everything agrees, and each difference otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update

from portal import clock
from portal.billing import subscriptions
from portal.extensions import db
from portal.models import CreditEntry, Customer, Order, Payment, Reversal, Subscription
from tests.conftest import Person
from tests.support import cast
from tests.support.books import a_customer
from tests.support.world import World, changes_allowed

pytestmark = pytest.mark.both_databases


@dataclass(frozen=True)
class Books:
    """A world in which alice bought credits and got a partial refund, and bob has a plan."""

    here: World
    alice: Person
    since: str

    def reconcile(self, *arguments: str) -> tuple[int, str]:
        """Exit status, and what was printed."""
        arguments = arguments or ("--mode", "live")
        db.session.expire_all()  # the command shares this test's session, which should forget what it read
        ran = self.here.app.test_cli_runner().invoke(args=["reconcile", "--since", self.since, *arguments])
        return ran.exit_code, ran.output

    def differences(self) -> list[str]:
        """The lines of the table, single-spaced, in a reconciliation that fails."""
        status, output = self.reconcile()
        assert status == 1, output
        lines = [" ".join(line.split()) for line in output.splitlines()]
        assert lines[0] == "mode what about expected found"
        return [line for line in lines[1:] if line.startswith("live")]


def buy(someone: Person, package: str = "Basic") -> None:
    """From the page of credits to its success page."""
    someone.browser.open("/credits")
    someone.browser.press(f"Buy {package}")
    someone.browser.pay()
    assert "/credits/success" in someone.browser.page.url, someone.browser.text


def refund(here: World, amount: int) -> str:
    """Refund part of the newest payment, and return the refund's id."""
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id).order_by(Payment.id.desc())).scalars().first()
        db.session.remove()
    return here.stripe().v1.refunds.create({"payment_intent": str(intent), "amount": amount}).id


def bought(here: World) -> tuple[Person, ...]:
    """Alice buys credits and gets a part of the money back, and Bob buys a plan."""
    alice, bob = cast.person(here, "alice"), cast.bob(here)
    buy(alice)
    refund(here, 900)
    here.flush()
    return alice, bob


@pytest.fixture
def kept(here: World) -> Iterator[Books]:
    """The books after all of it."""
    alice, _bob = cast.scene(here, "the books", lambda: bought(here))
    with here.app.app_context():
        yield Books(here, alice, f"{clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
        db.session.rollback()
        db.session.remove()


def test_books_that_agree_say_so(kept: Books) -> None:
    status, output = kept.reconcile()
    assert status == 0, output
    assert output.startswith("The books agree (live; Stripe since ")


def test_a_purchase_of_an_unproven_account_is_a_note_that_fails_nothing(kept: Books) -> None:
    number = db.session.execute(
        update(Order).where(Order.kind == "plan").values(payment_link="plink_1").returning(Order.number)
    ).scalar_one()
    db.session.commit()
    status, output = kept.reconcile()
    assert status == 0, output
    assert "The books agree" in output
    assert number in output
    assert "Write to the address that Stripe has" in output
    db.session.execute(update(Customer).where(Customer.credit_balance > 0).values(credit_balance=1))
    db.session.commit()
    assert len(kept.differences()) == 2, "beside a difference it is listed all the same"


def test_a_balance_that_is_not_the_sum_is_named(kept: Books) -> None:
    customer = db.session.execute(select(Order.customer_id).filter_by(kind="credits")).scalar_one()
    db.session.execute(update(Customer).filter_by(id=customer).values(credit_balance=7))
    db.session.commit()
    words = "sum of entries 4400 balance 7, after the last entry 4400"
    assert kept.differences() == [f"live balance customer {customer} {words}"]


def test_a_paid_order_without_its_credits_is_named(kept: Books) -> None:
    order = db.session.execute(select(Order).filter_by(kind="credits")).scalar_one()
    with changes_allowed("credit_entries"):
        db.session.execute(delete(CreditEntry))
    db.session.execute(update(Customer).values(credit_balance=0))
    db.session.commit()
    named = kept.differences()
    assert f"live order {order.number} paid: 5500 credits 0 credits" in named
    assert f"live refunds {order.payment_intent} 1100 credits taken back 0 credits" in named


def test_credits_given_for_an_order_that_nobody_paid_are_named(kept: Books) -> None:
    order = db.session.execute(select(Order).filter_by(kind="credits")).scalar_one()
    order.state = "open"
    db.session.commit()
    assert kept.differences() == [
        f"live order {order.number} open: 0 credits 5500 credits",
        f"live session {order.session_id} {order.number} paid {order.number} open",
    ]


def test_a_paid_session_that_nobody_heard_of_is_named_and_replaying_mends_it(kept: Books) -> None:
    kept.alice.browser.open("/credits")
    kept.alice.browser.press("Buy Starter")
    kept.alice.browser.pay(follow=False)
    order = db.session.execute(select(Order).filter_by(state="open")).scalar_one()
    db.session.commit()
    assert kept.differences() == [f"live session {order.session_id} {order.number} paid {order.number} open"]
    kept.here.flush()
    status, output = kept.reconcile()
    assert status == 0, output


def test_a_refund_that_nobody_heard_of_is_named_and_replaying_mends_it(kept: Books) -> None:
    refund_id = refund(kept.here, 450)
    assert kept.differences() == [f"live refund {refund_id} 450 succeeded none"]
    kept.here.flush()
    assert kept.reconcile()[0] == 0


def test_what_is_here_and_not_at_stripe_is_named(kept: Books) -> None:
    payment = db.session.execute(select(Payment).filter_by(kind="credits")).scalar_one()
    order = db.session.execute(select(Order).filter_by(kind="credits")).scalar_one()
    order.session_id = "cs_live_invented"
    values = {"customer_id": payment.customer_id, "mode": "live", "stripe_id": "re_invented", "kind": "refund"}
    values |= {"payment_id": payment.id, "amount": 0, "status": "failed", "synced_at": clock.now()}
    db.session.execute(insert(Reversal).values(**values, created_at=clock.now()))
    db.session.commit()
    named = kept.differences()
    assert f"live order {order.number} cs_live_invented paid not paid at Stripe" in named
    assert "live refund re_invented not at Stripe 0 failed" in named


def test_subscriptions_that_differ_are_named_and_syncing_mends_them(kept: Books) -> None:
    row = db.session.execute(select(Subscription)).scalar_one()
    name, price, end = row.stripe_id, row.price_id, row.current_period_end
    row.status, row.price_id = "past_due", "price_other"
    db.session.commit()
    words = f"live subscription {name} active {price} until {end:%Y-%m-%d %H:%M:%S}"
    assert kept.differences() == [f"{words} past_due price_other until {end:%Y-%m-%d %H:%M:%S}"]
    db.session.delete(db.session.get_one(Subscription, row.id))
    db.session.commit()
    assert kept.differences() == [f"{words} none"]
    subscriptions.sync("live", name)
    assert kept.reconcile()[0] == 0
    db.session.execute(update(Subscription).values(stripe_id="sub_invented"))
    db.session.commit()
    assert f"live subscription sub_invented not at Stripe active {price}" in "\n".join(kept.differences())


def test_a_mode_keeps_its_own_books(kept: Books) -> None:
    practice = a_customer("alice", "test")
    db.session.execute(update(Customer).filter_by(id=practice).values(credit_balance=7))
    db.session.commit()
    assert kept.reconcile("--mode", "live")[0] == 0
    status, output = kept.reconcile("--mode", "test")
    assert status == 1
    assert f"customer {practice}" in output


def test_stripe_not_answering_is_said_and_is_no_agreement(kept: Books) -> None:
    kept.here.fail(next=10, status=500)
    status, output = kept.reconcile()
    assert status == 1
    assert "Stripe is having trouble" in output
