"""A second plan for an address: buyer and admins are told immediately, and either can be cancelled and
refunded.
"""

import re
import threading

import pytest
from sqlalchemy import select

from portal.accounts import users
from portal.billing.status import second_plan
from portal.extensions import db
from portal.models import Order, OutboxMail, Payment, Subscription
from portal.orders import fulfillment
from portal.sync import versions
from tests.billing.test_due_queries import SMALL
from tests.conftest import PASSWORD, Person
from tests.orders.test_payment_links import make_link, pay
from tests.support import browsing, mailbox, query_plans
from tests.support.world import World


def told(here: World) -> list[tuple[str, str, tuple[str, int], tuple[str, int]]]:
    """Template, address and both plans of the mails about second plans."""
    with here.app.app_context():
        query = (
            select(OutboxMail).where(OutboxMail.template.startswith("second_plan")).order_by(OutboxMail.template)
        )
        found = [
            (
                row.template,
                row.to or row.user.email,
                (row.context["new"]["plan_name"], row.context["new"]["price"]),
                (row.context["old"]["plan_name"], row.context["old"]["price"]),
            )
            for row in db.session.execute(query).scalars()
        ]
        db.session.rollback()
    return found


def both(email: str, new: tuple[str, int], old: tuple[str, int]) -> list[tuple[object, ...]]:
    return [("second_plan", email, new, old), ("second_plan_admin", "ada@example.com", new, old)]


PRO, STARTER = ("Pro", ["$49.99 a month"]), ("Starter", ["$19.99 a month"])


@pytest.mark.both_databases
def test_a_link_beside_the_plan_of_the_account_is_told_once_with_both_prices(
    here: World, bob: Person, ada: Person
) -> None:
    bob.prove()
    pay(browsing.Browser(here), make_link(here, "--tier", "starter"), bob.email)
    here.flush()
    assert told(here) == both(bob.email, STARTER, PRO)


def test_a_link_beside_the_plan_of_an_unproven_account_is_told_by_mail_alone(
    here: World, bob: Person, ada: Person
) -> None:
    pay(browsing.Browser(here), make_link(here, "--tier", "starter"), bob.email)
    here.flush()
    assert told(here) == both(bob.email, STARTER, PRO)
    bob.browser.open("/billing")
    assert "Starter" not in bob.browser.text


def test_two_links_by_nobody_are_told_and_so_is_checkout_beside_a_link(
    here: World, visitor: browsing.Browser, alice: Person, ada: Person
) -> None:
    pay(visitor, make_link(here, "--tier", "starter"), "eve@example.com")
    assert told(here) == []
    pay(browsing.Browser(here), make_link(here), "eve@example.com")
    here.flush()
    assert told(here) == both("eve@example.com", PRO, STARTER)
    pay(browsing.Browser(here), make_link(here, "--tier", "starter"), alice.email)
    alice.browser.buy("pro-monthly")
    here.flush()
    assert ("second_plan", alice.email, PRO, STARTER) in told(here)


@pytest.mark.both_databases
def test_two_links_at_the_same_moment_are_told_by_the_next_tick(here: World, ada: Person) -> None:
    here.deliveries(hold=True)
    here.fail(next=1000, status=500, path="/v1/checkout/sessions/")  # the success pages write nothing either
    for tier in ("starter", "pro"):
        pay(browsing.Browser(here), make_link(here, "--tier", tier), "eve@example.com")
    here.calm()
    pro, starter = (one.id for one in here.stripe().v1.checkout.sessions.list({"limit": 2}).data)
    with here.app.app_context():
        found = [fulfillment.act(fulfillment.read("live", one)) for one in (starter, pro)]
        if db.engine.dialect.name == "postgresql":
            versions.hold(found[0])
            fulfillment.apply(found[0])
            thread = threading.Thread(target=bring, args=(here, found[1]))
            thread.start()
            thread.join()
            db.session.commit()
            assert told(here) == []
        else:  # its writers wait for each other
            for snapshot in found:
                bring(here, snapshot)
        for _ in range(2):
            second_plan.run()
            assert told(here) == both("eve@example.com", PRO, STARTER)


def bring(here: World, snapshot: fulfillment.SessionSnapshot) -> None:
    with here.app.app_context():
        versions.hold(snapshot)
        fulfillment.apply(snapshot)
        db.session.commit()
        db.session.remove()


def test_a_plan_that_ends_already_is_no_second_plan(here: World, bob: Person, ada: Person) -> None:
    bob.browser.open("/billing/cancel")
    bob.browser.press("Cancel at period end")
    here.flush()
    pay(browsing.Browser(here), make_link(here, "--tier", "starter"), bob.email)
    here.flush()
    assert told(here) == []


def test_once_on_one_account_each_can_be_ended_and_refunded(
    here: World, visitor: browsing.Browser, ada: Person
) -> None:
    pay(visitor, make_link(here, "--tier", "starter"), "eve@example.com")
    pay(visitor, make_link(here), "eve@example.com")
    here.flush()
    visitor.open(mailbox.links(here, "eve@example.com", "/claim/")[-1])
    answers = dict.fromkeys(re.findall(r'name="(purchase_\d+)"', visitor.page.text), "mine")
    visitor.press("Claim account", password=PASSWORD, **answers)
    visitor.open("/billing")
    assert "Pro" in visitor.text
    assert "Starter" in visitor.text
    with here.app.app_context():
        plans = db.session.execute(select(Subscription.stripe_id)).scalars().all()
        payments = db.session.execute(select(Payment.id, Payment.amount).order_by(Payment.amount)).all()
        user_id = users.named("eve@example.com").id
    assert [amount for _, amount in payments] == [1999, 4999]
    for payment_id, _ in payments:
        ada.browser.open(f"/admin/customers/{user_id}/refund?payment={payment_id}")
        ada.browser.press("Refund")
        assert ada.browser.page.ok, ada.browser.text
    assert len(plans) == 2
    for one in plans:
        visitor.open(f"/billing/cancel?subscription={one}")
        visitor.press("Cancel at period end")
    here.flush()
    with here.app.app_context():
        assert None not in db.session.execute(select(Subscription.cancel_at)).scalars().all()
        refunded = select(Payment.amount, Payment.amount_refunded)
        assert all(amount == back for amount, back in db.session.execute(refunded))


@pytest.mark.both_databases
def test_each_order_is_looked_at_once_along_an_index(here: World, visitor: browsing.Browser, ada: Person) -> None:
    for tier in ("starter", "pro"):
        pay(visitor, make_link(here, "--tier", tier), "eve@example.com")
    here.flush()
    with here.app.app_context():
        assert len(waiting()) == 2
        asked = query_plans.asked_by(second_plan.run)
        assert sum("JOIN" in one.statement for one in asked) >= 2  # the pairs of both orders
        for one in asked:
            assert query_plans.read_whole(one) <= SMALL, one.statement
            assert "LIMIT" in one.statement or "FROM orders" not in one.statement
        assert waiting() == []
        assert len(query_plans.asked_by(second_plan.run)) == 1


def waiting() -> list[int]:
    found = db.session.execute(select(Order.id).filter_by(second_plan_due=True)).scalars().all()
    db.session.rollback()
    return list(found)
