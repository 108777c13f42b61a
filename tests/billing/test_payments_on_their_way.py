"""A plan change while it is being paid for: what the pages show, and a lost webhook."""

import pytest
from sqlalchemy import select

from portal.billing.plan_change import change_requests, slow_payments
from portal.models import Subscription, SubscriptionChange
from tests.billing.test_plan_change import at_stripe, confirm, starter
from tests.billing.test_steps import BAD_IBAN, GOOD_IBAN, by_debit
from tests.conftest import Person
from tests.support.ages import age
from tests.support.looking import one, tier
from tests.support.world import World


def paying(here: World, iban: str) -> Person:
    """Bob, on Starter, whose bank has not confirmed the payment for Pro yet."""
    bob = starter(here)
    by_debit(here, iban)
    confirm(bob, "pro-monthly")
    here.flush()
    return bob


def hours_pass(here: World, hours: float) -> int:
    with here.app.app_context():
        age(SubscriptionChange, hours=hours)
        change_requests.run()
        return slow_payments.run()


@pytest.mark.both_databases
@pytest.mark.parametrize(("iban", "ends", "has"), [(GOOD_IBAN, "done", "pro"), (BAD_IBAN, "failed", "starter")])
def test_a_lost_webhook_leaves_no_change_open(here: World, iban: str, ends: str, has: str) -> None:
    paying(here, iban)
    assert hours_pass(here, 2) == 1
    assert one(here, select(SubscriptionChange.state)) == "paying"
    assert hours_pass(here, 0.5) == 0, "asked again within the hour"
    here.settle()
    here.control("deliveries/discard")
    assert tier(here) == "starter"
    assert hours_pass(here, 1) == 1
    assert one(here, select(SubscriptionChange.state)) == ends
    assert tier(here) == has
    assert hours_pass(here, 2) == 0


def test_while_stripe_is_away_the_others_are_asked_about(here: World) -> None:
    paying(here, GOOD_IBAN)
    here.fail(method="GET", status=503, next=20)
    assert hours_pass(here, 2) == 1
    here.calm()
    here.hold_settlements()
    assert one(here, select(SubscriptionChange.state)) == "paying"
    assert hours_pass(here, 2) == 1


def test_the_billing_page_says_that_the_payment_is_on_its_way(here: World) -> None:
    bob = paying(here, GOOD_IBAN)
    bob.browser.open("/billing")
    assert "Your payment is on its way." in bob.browser.text
    assert "Pro starts once it is paid." in bob.browser.text
    assert "Change plan" not in bob.browser.text
    assert "Processing" in bob.browser.text
    assert ">Pay<" not in bob.browser.text, "an invitation to pay twice"
    here.settle()
    here.flush()
    bob.browser.open("/billing")
    assert "on its way" not in bob.browser.text
    assert "Change plan" in bob.browser.text


@pytest.mark.parametrize("path", ["/billing/change?price=enterprise-monthly", "/billing/change?price=pro-yearly"])
def test_another_change_is_refused_before_it_is_chosen(here: World, path: str) -> None:
    bob = paying(here, GOOD_IBAN)
    for _ in range(2):
        assert bob.browser.open(path).status_code == 409
        assert "Your last change is not paid yet" in bob.browser.text
        assert "We will email you." in bob.browser.text
        assert "See your billing" in bob.browser.text


def test_a_change_that_was_open_in_another_window_is_refused(here: World) -> None:
    bob = starter(here)
    by_debit(here, GOOD_IBAN)
    bob.browser.open("/billing/change?price=enterprise-monthly")
    late = bob.browser.form("Confirm change")
    confirm(bob, "pro-monthly")
    answer = bob.browser.http.post(late.action, data=late.fields, timeout=30)
    assert answer.status_code == 409
    assert "Your last change is not paid yet" in answer.text


def test_a_change_by_sent_invoice_asks_to_pay_it(here: World) -> None:
    bob = starter(here)
    here.stripe().v1.subscriptions.update(
        at_stripe(here).id, {"collection_method": "send_invoice", "days_until_due": 30}
    )
    here.flush()
    confirm(bob, "pro-monthly")
    here.flush()
    bob.browser.open("/billing")
    assert "Your invoice for Pro is open. Pro starts once it is paid." in bob.browser.text
    assert "Pay now" in bob.browser.text
    assert one(here, select(Subscription.tier)) == "starter"
