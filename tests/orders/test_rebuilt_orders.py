"""A backup is restored: orders that were paid after it are rebuilt from their Checkout Sessions."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from portal import clock, jobs
from portal.customers import access
from portal.enums import Mode
from portal.extensions import db
from portal.models import CreditPackage, Customer, Order, Price, StripeEvent, User
from portal.reconcile import commands
from portal.webhooks import replays
from tests.conftest import Person
from tests.support import kept
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def put_back(here: World, backup: kept.Rows) -> None:
    """Restore the portal's database. Stripe keeps what happened since."""
    with here.app.app_context():
        db.session.remove()
        here.app.extensions.pop("entitlements", None)
        backup.restore()


def backfill(here: World) -> None:
    with here.app.app_context():
        list(replays.backfill(Mode.LIVE, clock.now() - timedelta(days=1)))
        db.session.commit()
        for _ in range(2):
            jobs.tick()


def wrong(here: World) -> list[str]:
    with here.app.app_context():
        since = clock.now() - timedelta(days=1)
        return [f"{one.what} {one.about}" for one in commands.differences(Mode.LIVE, since) if not one.is_note]


def bought(here: World) -> list[tuple[object, ...]]:
    columns = Order.number, Order.kind, Order.item, Order.amount, Order.currency, Order.state, Order.credits
    with here.app.app_context():
        owner = select(*columns, User.email).join(Customer, Customer.id == Order.customer_id).join(User)
        return [tuple(row) for row in db.session.execute(owner.order_by(Order.number))]


def buy(person: Person) -> None:
    """Buy a plan, a package and a custom amount of credits."""
    person.browser.buy("pro-monthly")
    person.browser.open("/credits")
    person.browser.press("Buy Basic")
    person.browser.pay()
    person.browser.open("/credits")
    person.browser.press("Buy custom amount", amount="$25")
    person.browser.pay()
    person.browser.here.flush()


def test_what_was_bought_after_the_backup_is_there_again(here: World, alice: Person) -> None:
    backup = here.save().portal
    buy(alice)
    before = bought(here)
    assert {row[5] for row in before} == {"paid"}
    assert len(before) == 3
    put_back(here, backup)
    assert bought(here) == []
    backfill(here)
    assert bought(here) == before
    assert wrong(here) == []
    with here.app.app_context():
        (customer,) = db.session.execute(select(Customer).filter_by(mode="live")).scalars().all()
        assert access.of(customer).tier == "pro"
        assert customer.credit_balance == sum(row[6] or 0 for row in before)
        parked = select(StripeEvent.type, StripeEvent.error).where(StripeEvent.state.in_(("parked", "failed")))
        assert db.session.execute(parked).all() == []


def test_another_amount_than_the_catalogue_s_gives_nothing(here: World, alice: Person) -> None:
    backup = here.save().portal
    buy(alice)
    put_back(here, backup)
    with here.app.app_context():
        db.session.execute(update(Price).values(amount=Price.amount + 1))
        db.session.execute(update(CreditPackage).values(amount=CreditPackage.amount + 1))
        db.session.commit()
    backfill(here)
    with here.app.app_context():
        orders = db.session.execute(select(Order)).scalars().all()
        assert [(one.state, one.differs is not None and "amount" in one.differs) for one in orders] == [
            ("unclear", True)
        ] * 3
        assert {one.credit_balance for one in db.session.execute(select(Customer)).scalars()} == {0}


def test_an_order_of_another_portal_on_the_same_account_stays_its_own(here: World, alice: Person) -> None:
    backup = here.save().portal
    alice.browser.buy("pro-monthly")
    here.flush()
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id)).scalar_one()
    put_back(here, backup)
    assert session_id is not None
    here.rewrite(session_id, success_url="https://elsewhere.example.com/billing/success")
    backfill(here)
    assert bought(here) == []


def test_a_new_customer_with_the_same_id_gets_nothing(here: World, alice: Person) -> None:
    backup = here.save().portal
    alice.browser.buy("pro-monthly")
    here.flush()
    put_back(here, backup)
    with here.app.app_context():
        charlie = User(email="charlie@example.com", created_at=clock.now())
        db.session.add(charlie)
        db.session.flush()
        db.session.add(Customer(user_id=charlie.id, mode=Mode.LIVE, created_at=clock.now() + timedelta(seconds=1)))
        db.session.commit()
    backfill(here)
    (order,) = bought(here)
    assert order[-1] == "alice@example.com"
