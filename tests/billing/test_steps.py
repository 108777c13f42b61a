"""Steps of a change that fail: how they are undone, and what is carried over; payments that take days."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.billing.plan_change import change_requests
from portal.models import OutboxMail, Subscription, SubscriptionChange
from tests.billing.test_plan_change import at_stripe, confirm, price_id, starter
from tests.conftest import Person
from tests.support.ages import age
from tests.support.looking import one, tier
from tests.support.world import World

CUT = {"method": "POST", "next": 2, "status": 200, "after": True}
ACTED = {"method": "POST", "next": 1, "status": 500, "acted": True}
FAILED = {"method": "POST", "next": 1, "status": 500}
REFUSED = {"method": "POST", "next": 1, "status": 400}
GOOD_IBAN, BAD_IBAN = "AT611904300234573201", "AT861904300235473202"
SCHEDULES = "/v1/subscription_schedules"


def planned(here: World) -> str | None:
    """The tier that is scheduled, which our copy and Stripe agree on."""
    here.flush()
    tier = one(here, select(Subscription.next_tier))
    schedule = at_stripe(here).schedule
    if schedule is None:
        assert tier is None
        return None
    phases = here.stripe().v1.subscription_schedules.retrieve(str(schedule)).phases
    assert phases[-1]["items"][0].price == price_id(here, f"{tier}-monthly")
    return str(tier)


def tick(here: World) -> None:
    with here.app.app_context():
        age(SubscriptionChange, minutes=2)
        change_requests.run()


@pytest.mark.parametrize("step", ["/v1/subscriptions/", SCHEDULES])
def test_a_refused_upgrade_keeps_what_was_planned(here: World, bob: Person, step: str) -> None:
    confirm(bob, "starter-monthly")
    here.fail(path=step, **REFUSED)
    answer = confirm(bob, "enterprise-monthly")
    assert answer.status_code == 409
    assert "Nothing was changed" in bob.browser.text
    assert (tier(here), planned(here)) == ("pro", "starter")


def test_a_refused_cancel_keeps_what_was_planned(here: World, bob: Person) -> None:
    confirm(bob, "starter-monthly")
    bob.browser.open("/billing/cancel")
    here.fail(path="/v1/subscriptions/", **REFUSED)
    assert bob.browser.press("Cancel at period end").status_code == 409
    assert planned(here) == "starter"


def test_a_way_back_that_gets_no_answer_is_gone_to_its_end_by_time(here: World, bob: Person) -> None:
    confirm(bob, "starter-monthly")
    with pytest.MonkeyPatch.context() as patch:
        from portal.billing.plan_change import steps
        from portal.errors import StripeUnavailable

        def silent(*_: Any) -> None:
            raise StripeUnavailable("silent")

        patch.setattr(steps, "schedule", silent)
        here.fail(path="/v1/subscriptions/", **REFUSED)
        assert confirm(bob, "enterprise-monthly").status_code == 409
        assert "is being planned again" in bob.browser.text
    assert planned(here) is None
    tick(here)
    assert (tier(here), planned(here)) == ("pro", "starter")


@pytest.mark.parametrize("fault", [CUT, ACTED], ids=["cut", "answered-500"])
@pytest.mark.parametrize(
    ("step", "skip"), [(f"{SCHEDULES}/", 0), ("/v1/subscriptions/", 0)], ids=["release", "update"]
)
def test_an_upgrade_is_made_once_wherever_an_answer_is_lost(
    here: World, bob: Person, step: str, skip: int, fault: dict[str, Any]
) -> None:
    confirm(bob, "starter-monthly")
    here.fail(path=step, skip=skip, **fault)
    confirm(bob, "enterprise-monthly")
    here.calm()
    here.deliveries(hold=True)
    tick(here)
    here.flush()
    assert (tier(here), planned(here)) == ("enterprise", None)
    made = here.stripe().v1.invoices.list({"subscription": at_stripe(here).id}).data
    assert [one.billing_reason for one in made] == ["subscription_update", "subscription_create"]
    assert one(here, select(SubscriptionChange.state).order_by(SubscriptionChange.id.desc()).limit(1)) == "done"


@pytest.mark.parametrize("fault", [CUT, ACTED], ids=["cut", "answered-500"])
@pytest.mark.parametrize("skip", [0, 1], ids=["create", "phases"])
def test_a_downgrade_is_planned_once_wherever_an_answer_is_lost(
    here: World, bob: Person, skip: int, fault: dict[str, Any]
) -> None:
    here.fail(path=SCHEDULES, skip=skip, **fault)
    confirm(bob, "starter-monthly")
    here.calm()
    here.deliveries(hold=True)
    tick(here)
    assert (tier(here), planned(here)) == ("pro", "starter")


def test_what_got_no_answer_is_not_gone_through_with_once_its_price_is_old(here: World, bob: Person) -> None:
    confirm(bob, "starter-monthly")
    here.fail(path="/v1/subscriptions/", **FAILED)
    assert confirm(bob, "enterprise-monthly").status_code == 503
    with here.app.app_context():
        age(SubscriptionChange, minutes=20)
        change_requests.run()
    assert (tier(here), planned(here)) == ("pro", "starter")


def test_a_planned_downgrade_keeps_the_subscription_s_own_discount(here: World, bob: Person) -> None:
    stripe = here.stripe().v1
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 6})
    own = stripe.subscriptions.update(at_stripe(here).id, {"discounts": [{"coupon": coupon.id}]}).discounts
    here.flush()
    confirm(bob, "starter-monthly")
    schedule = stripe.subscription_schedules.retrieve(str(at_stripe(here).schedule))
    assert [[one.discount for one in phase.discounts] for phase in schedule.phases] == [own, own]
    assert at_stripe(here).discounts == own


def test_a_planned_downgrade_keeps_the_tax_rates(here: World, bob: Person) -> None:
    """Of the subscription and of its item: the renewal at the cheaper price is taxed as before."""
    stripe, mine = here.stripe().v1, at_stripe(here)
    vat, local = (
        stripe.tax_rates.create({"display_name": name, "percentage": percentage, "inclusive": False})
        for name, percentage in (("VAT", 20), ("Local", 10))
    )
    taxed = {"default_tax_rates": [vat.id], "items": [{"id": mine["items"].data[0].id, "tax_rates": [local.id]}]}
    stripe.subscriptions.update(mine.id, taxed)
    here.flush()
    confirm(bob, "starter-monthly")
    schedule = stripe.subscription_schedules.retrieve(str(at_stripe(here).schedule))
    phases = [
        ([one.id for one in phase.default_tax_rates], phase["items"][0].tax_rates) for phase in schedule.phases
    ]
    assert [(default, [one.id for one in own]) for default, own in phases] == [([vat.id], [local.id])] * 2
    renewal = stripe.invoices.create_preview({"subscription": mine.id})
    assert (renewal.subtotal, renewal.total) == (1999, 2199)


def by_debit(here: World, iban: str) -> None:
    """Pay for the subscription from a bank account from now on; the bank's response comes later."""
    here.hold_settlements()
    stripe, mine = here.stripe().v1, at_stripe(here)
    method = stripe.payment_methods.create({"type": "sepa_debit", "sepa_debit": {"iban": iban}})
    stripe.payment_methods.attach(method.id, {"customer": str(mine.customer)})
    stripe.subscriptions.update(mine.id, {"default_payment_method": method.id})
    here.flush()


def test_an_upgrade_by_debit_is_given_once_the_money_is_there(here: World) -> None:
    bob = starter(here)
    by_debit(here, GOOD_IBAN)
    answer = confirm(bob, "pro-monthly")
    assert "on its way from your bank" in bob.browser.text, answer.text
    here.flush()
    assert tier(here) == "starter"
    assert one(here, select(OutboxMail.template).filter_by(template="change_on_its_way"))
    here.settle()
    here.flush()
    assert tier(here) == "pro"
    assert one(here, select(SubscriptionChange.state)) == "done"


def test_an_upgrade_by_debit_that_fails_leaves_what_was_paid_for(here: World) -> None:
    bob = starter(here)
    by_debit(here, BAD_IBAN)
    confirm(bob, "pro-monthly")
    here.settle()
    here.flush()
    row = one(here, select(Subscription))
    assert (row.tier, row.status, row.past_due_since) == ("starter", "active", None)
    mine = at_stripe(here)
    assert (mine.status, mine["items"].data[0].price.id) == ("active", price_id(here, "starter-monthly"))
    newest = here.stripe().v1.invoices.list({"subscription": mine.id, "limit": 1}).data[0]
    assert newest.status == "void"
    assert one(here, select(SubscriptionChange.state)) == "failed"
    assert one(here, select(OutboxMail.template).filter_by(template="change_not_paid"))
