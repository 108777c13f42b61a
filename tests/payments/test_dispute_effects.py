"""The effects of a dispute, by what its payment paid for."""

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.customers import suspensions
from portal.extensions import db
from portal.models import Customer, Payment, Plan, Reversal, StripeCustomer, StripeEvent
from portal.models.suspension import SuspensionReason
from portal.payments import reversal_sync
from portal.webhooks import replays
from tests.conftest import Person
from tests.support import events
from tests.support.browsing import Browser
from tests.support.looking import one, open_suspensions, tier
from tests.support.reversals import decide, dispute, inquiry, intent_of, mails, withdrawn
from tests.support.usage import becomes, event, record, reporter, run, start
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def test_an_inquiry_withdraws_nothing(here: World, bob: Person, ada: Person) -> None:
    inquiry(here)
    assert one(here, select(Reversal.status)) == "warning_needs_response"
    with here.app.app_context():
        assert set(db.session.execute(select(Payment.amount_withdrawn)).scalars()) == {0}
    assert mails(here, "payment_reversed") == []
    assert [mail["status"] for mail in mails(here, "dispute")] == ["warning_needs_response"]


@pytest.mark.parametrize("policy", ["keep", "suspend"])
def test_a_disputed_subscription_suspends_where_its_plan_says_so(
    here: World, bob: Person, ada: Person, policy: str
) -> None:
    with here.app.app_context():
        db.session.execute(update(Plan).filter_by(tier="pro").values(on_dispute=policy))
        db.session.commit()
    dispute(here, intent_of(here, "subscription"))
    assert tier(here) == "pro"
    assert open_suspensions(here) == (["dispute"] if policy == "suspend" else [])
    told = mails(here, "dispute")
    assert (told[0]["status"], told[0]["suspended"]) == ("needs_response", policy == "suspend")
    decide(here, "winning")
    assert open_suspensions(here) == []


def test_what_an_admin_lifted_stays_lifted(here: World, bob: Person) -> None:
    with here.app.app_context():
        db.session.execute(update(Plan).filter_by(tier="pro").values(on_dispute="suspend"))
        db.session.commit()
    dispute(here, intent_of(here, "subscription"))
    with here.app.app_context():
        customer = db.session.execute(select(Customer.id)).scalar_one()
        suspensions.lift(customer, SuspensionReason.DISPUTE, about="by hand")
        db.session.commit()
    read_again(here)
    assert open_suspensions(here) == []


def read_again(here: World) -> None:
    """Sync the dispute's charge again."""
    with here.app.app_context():
        charge = db.session.execute(select(Payment.charge_id)).scalar_one()
        db.session.commit()
        reversal_sync.sync_reversals("live", str(charge))


def test_a_lost_dispute_of_a_usage_bill_suspends_until_an_admin_lifts_it(
    here: World, app: Flask, alice: Person, ada: Person
) -> None:
    start(alice.browser)
    here.flush()
    server = reporter(here, alice.email)
    record(server.customer_id, ("a", 10, "cpu_hour"))
    assert run(app).exit_code == 0
    becomes(here, server.customer_id, "paid")
    intent = intent_of(here, "usage")
    dispute(here, intent)
    becomes(here, server.customer_id, "paid")
    assert server.send(event("open")).status_code == 200
    decide(here, "losing")
    becomes(here, server.customer_id, "paid")
    assert open_suspensions(here) == ["dispute"]
    assert server.send(event("lost")).status_code == 402
    assert [mail["suspended"] for mail in mails(here, "dispute")][-1] is True
    assert len(here.stripe().v1.payment_intents.list({"limit": 100, "customer": payer(here)}).data) == 1


def payer(here: World) -> str:
    return str(one(here, select(StripeCustomer.stripe_id)))


def test_a_dispute_that_comes_before_its_customer_is_ours_waits_for_them(here: World, visitor: Browser) -> None:
    made = here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "pro"])
    visitor.open(made.output.strip())
    mark = events.newest(here)
    visitor.pay(email="eve@example.com", follow=False)
    [paid] = events.of_type(here, mark, "payment_intent.succeeded")
    here.control(f"disputes/{paid['data']['object']['id']}")
    [disputed] = events.of_type(here, mark, "charge.dispute.created")
    assert events.deliver(here, disputed).json()["status"] == "parked"
    [bought] = events.of_type(here, mark, "checkout.session.completed")
    assert events.deliver(here, bought).json()["status"] == "processed"
    with here.app.app_context():
        assert replays.sweep()
    assert one(here, select(StripeEvent.state).filter_by(event_id=disputed["id"])) == "processed"
    assert one(here, select(Reversal.status)) == "needs_response"
    assert withdrawn(here) == 4999
