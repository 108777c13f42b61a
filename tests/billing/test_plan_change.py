"""Changing to another plan or cycle: cost, start, and failures."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal.billing.plan_change import plan_changes
from portal.billing.plan_change.quotes import GOOD_FOR, Outdated
from portal.extensions import db
from portal.models import Customer, Invoice, OutboxMail, Plan, Price, Subscription, SubscriptionChange
from tests.conftest import Person, person
from tests.support.browsing import CARD
from tests.support.looking import count, one, tier
from tests.support.world import World


def at_stripe(here: World) -> Any:
    return here.stripe().v1.subscriptions.retrieve(one(here, select(Subscription.stripe_id)))


def price_id(here: World, key: str) -> str:
    return str(one(here, select(Price.live_price_id).filter_by(key=key)))


def confirm(bob: Person, key: str, **changed: str) -> requests.Response:
    bob.browser.open(f"/billing/change?price={key}")
    return bob.browser.press("Confirm change", **changed)


def starter(here: World, name: str = "bob", key: str = "starter-monthly") -> Person:
    someone = person(here, name)
    someone.browser.buy(key)
    here.flush()
    return someone


def test_every_other_plan_is_shown_with_what_it_costs_today(here: World, new_bob: Person) -> None:
    new_bob.browser.open("/billing")
    assert new_bob.browser.link("Change plan") == "/billing/change"
    new_bob.browser.open("/billing/change")
    for words in ("Starter by the month", "Starter by the year", "Pro by the year", "Enterprise by the month"):
        assert words in new_bob.browser.text
    assert "Pro by the month" not in new_bob.browser.text
    assert "Beta" not in new_bob.browser.text
    assert "$149.01" in new_bob.browser.text  # what is left of the month: all of it, to the second


def test_an_upgrade_begins_at_once_and_is_charged_as_it_was_shown(here: World) -> None:
    bob = starter(here)
    bob.browser.open("/billing/change?price=pro-monthly")
    shown = bob.browser.text
    assert "Due today $30.00" in shown
    assert "Credit for unused time $19.99" in shown
    assert "Next payment $49.99 on" in shown
    bob.browser.press("Confirm change")
    assert "Your plan is now Pro" in bob.browser.text
    assert tier(here) == "pro"
    invoices = here.stripe().v1.invoices.list({"subscription": at_stripe(here).id, "limit": 1}).data
    assert (invoices[0].amount_paid, invoices[0].billing_reason) == (3000, "subscription_update")
    with here.app.app_context():
        assert db.session.execute(select(Invoice).filter_by(amount_paid=3000)).scalar_one()
    here.flush()
    mail = one(here, select(OutboxMail).filter_by(template="plan_changed"))
    assert (mail.context["plan_name"], mail.context["at"]) == ("Pro", None)


def test_a_downgrade_waits_for_the_renewal_and_can_be_taken_back(here: World, bob: Person) -> None:
    bob.browser.open("/billing/change?price=starter-monthly")
    assert "Due today $0.00" in bob.browser.text
    bob.browser.press("Confirm change")
    assert "Your plan changes to Starter, $19.99 a month, on" in bob.browser.text
    assert "Next payment $19.99 on" in bob.browser.text
    assert tier(here) == "pro"
    here.flush()
    schedule = here.stripe().v1.subscription_schedules.retrieve(str(at_stripe(here).schedule))
    assert [phase["items"][0].price for phase in schedule.phases] == [
        price_id(here, "pro-monthly"),
        price_id(here, "starter-monthly"),
    ]
    bob.browser.open("/billing")
    bob.browser.press("Keep current plan")
    assert "Your plan stays as it is" in bob.browser.text
    assert "Next payment $49.99 on" in bob.browser.text
    assert at_stripe(here).schedule is None
    with here.app.app_context():
        assert db.session.execute(select(Subscription.next_at)).scalar_one() is None


def test_to_the_year_at_once_and_to_the_month_at_renewal(here: World, new_bob: Person) -> None:
    new_bob.browser.open("/billing/change?price=pro-yearly")
    assert "Due today $430.00" in new_bob.browser.text
    new_bob.browser.press("Confirm change")
    assert one(here, select(Subscription.interval)) == "year"
    new_bob.browser.open("/billing/change?price=pro-monthly")
    assert "Due today $0.00" in new_bob.browser.text
    assert "Next payment $49.99 on" in new_bob.browser.text
    new_bob.browser.press("Confirm change")
    assert one(here, select(Subscription.next_interval)) == "month"
    assert one(here, select(Subscription.interval)) == "year"


def test_a_change_of_mind_replaces_what_was_planned(here: World, bob: Person) -> None:
    confirm(bob, "starter-monthly")
    confirm(bob, "enterprise-monthly")
    assert tier(here) == "enterprise"
    assert at_stripe(here).schedule is None
    confirm(bob, "starter-monthly")
    bob.browser.open("/billing/cancel")
    assert "is dropped" in bob.browser.text
    bob.browser.press("Cancel at period end")
    assert at_stripe(here).schedule is None
    assert at_stripe(here).cancel_at_period_end
    assert bob.browser.open("/billing/change").status_code == 409
    assert "Resume it first" in bob.browser.text


def test_what_is_out_of_date_is_shown_anew_and_not_charged(here: World, bob: Person) -> None:
    answer = confirm(bob, "enterprise-monthly", quote="0" * 64)
    assert answer.status_code == 409
    assert "Look again" in bob.browser.text
    assert "Confirm change" in bob.browser.text
    bob.browser.press("Confirm change")
    assert tier(here) == "enterprise"
    assert count(here, SubscriptionChange) == 1


@pytest.mark.parametrize("moved", [-GOOD_FOR - timedelta(minutes=1), timedelta(days=20)])
def test_nobody_chooses_the_moment_of_the_proration(
    here: World, bob: Person, app: Flask, moved: timedelta
) -> None:
    customer = db.session.execute(select(Customer)).scalar_one()
    db.session.commit()
    shown = plan_changes.preview(customer, "enterprise-monthly")
    with pytest.raises(Outdated):
        plan_changes.confirm(customer, "enterprise-monthly", shown.digest, shown.moment + moved)


def test_a_declined_card_leaves_the_old_plan_and_nothing_to_pay(here: World) -> None:
    bob = starter(here)
    save_card(here, bob, "4000 0000 0000 0341")
    answer = confirm(bob, "pro-monthly")
    assert answer.status_code == 402
    assert "Your card was declined" in bob.browser.text
    assert "You were not charged" in bob.browser.text
    here.flush()
    assert tier(here) == "starter"
    assert at_stripe(here).status == "active"
    mine = {"customer": str(at_stripe(here).customer), "status": "open"}
    assert here.stripe().v1.invoices.list(mine).data == []
    assert one(here, select(SubscriptionChange.state)) == "failed"


def test_a_bank_that_asks_is_answered_on_the_invoice_s_page(here: World) -> None:
    bob = starter(here)
    save_card(here, bob, "4000 0027 6000 3184")
    confirm(bob, "pro-monthly")
    assert "/i/in_" in bob.browser.page.url
    assert tier(here) == "starter"
    hosted = bob.browser.page.url
    bob.browser.open("/billing")
    assert "Your bank asks you to confirm the payment for your new plan" in bob.browser.text
    assert bob.browser.link("Confirm payment") == hosted
    assert bob.browser.open("/billing/change").status_code == 409


def save_card(here: World, bob: Person, number: str) -> None:
    """Save a card through Stripe's portal."""
    bob.browser.open("/billing")
    bob.browser.press("Manage payment method")
    card = {"number": number, "expiration": "12 / 34", "cvc": "123", "name": "Bob", "zip": "94107"}
    bob.browser.press("Save card", **card)
    here.flush()


def test_without_a_card_the_card_comes_first(here: World) -> None:
    bob = starter(here)
    subscription = at_stripe(here)
    method = subscription.default_payment_method
    here.stripe().v1.payment_methods.detach(str(method))
    here.flush()
    bob.browser.open("/billing/change?price=pro-monthly")
    assert "no card that could be charged is saved" in bob.browser.text
    bob.browser.press("Save a card")
    card = {"number": CARD, "expiration": "12 / 34", "cvc": "123", "name": "Bob", "zip": "94107"}
    bob.browser.press("Save card", **card)
    assert "/billing/change?price=pro-monthly" in bob.browser.page.url
    bob.browser.press("Confirm change")
    assert tier(here) == "pro"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("pro-monthly", "You are on Pro already"),
        ("beta-monthly", "not on sale"),
        ("no-such-plan", "not on sale"),
        ("free-monthly", "cancel your plan"),
        ("starter-yearly", "paid in USD, and this price is in EUR"),
        ("starter-monthly", "not on sale"),
    ],
)
def test_what_nobody_can_move_to_is_refused_by_name(here: World, bob: Person, key: str, words: str) -> None:
    terms = {"currency": "eur", "unit_amount": 19000, "recurring": {"interval": "year"}}
    in_euros = here.stripe().v1.prices.create({"product_data": {"name": "Starter"}, **terms}).id
    with here.app.app_context():
        changed = update(Price).filter_by(key="starter-yearly")
        db.session.execute(changed.values(currency="eur", live_price_id=in_euros))
        db.session.execute(update(Price).filter_by(key="starter-monthly").values(withdrawn=True))
        db.session.commit()
    answer = bob.browser.open(f"/billing/change?price={key}")
    assert answer.status_code == 400
    assert words in bob.browser.text
    assert "Nothing was changed" in bob.browser.text or "You were not charged" in bob.browser.text
    bob.browser.open("/billing/change")
    assert "by the year €" not in bob.browser.text


def test_whoever_has_no_plan_is_led_to_the_prices(here: World, alice: Person) -> None:
    assert alice.browser.open("/billing/change").status_code == 409
    assert alice.browser.link("Choose a plan") == "/pricing"


@pytest.mark.both_databases
def test_of_two_tabs_at_once_one_wins_and_nobody_pays_twice(here: World) -> None:
    bob = starter(here)
    bob.browser.open("/billing/change?price=pro-monthly")
    form = bob.browser.form("Confirm change")
    cookies = bob.browser.http.cookies.get_dict()

    def press(_tab: int) -> int:
        return requests.post(form.action, form.fields, cookies=cookies, allow_redirects=False).status_code

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(press, range(3)))
    assert 303 in answers  # from one that comes after the change too
    assert set(answers) <= {303, 400, 409}
    paid = here.stripe().v1.invoices.list({"subscription": at_stripe(here).id}).data
    assert sorted(invoice.amount_paid for invoice in paid) == [1999, 3000]


def test_while_stripe_is_down_the_page_says_so_and_nothing_is_lost(here: World, bob: Person) -> None:
    here.fail(next=100, status=500)
    bob.browser.open("/billing/change")
    assert bob.browser.page.status_code == 200
    assert "Stripe is not answering" in bob.browser.text
    assert bob.browser.open("/billing/change?price=enterprise-monthly").status_code == 503
    assert "Nothing was changed" in bob.browser.text


def test_a_trial_changes_at_once_and_costs_nothing_today(here: World, bob: Person) -> None:
    subscription = at_stripe(here)
    ends = subscription["items"].data[0].current_period_end
    here.stripe().v1.subscriptions.cancel(subscription.id)
    item = {"price": price_id(here, "pro-monthly")}
    trial = here.stripe().v1.subscriptions.create(
        {"customer": str(subscription.customer), "items": [item], "trial_end": ends}
    )
    here.flush()
    bob.browser.open("/billing/change?price=starter-monthly")
    assert "Due today $0.00" in bob.browser.text
    bob.browser.press("Confirm change")
    after = here.stripe().v1.subscriptions.retrieve(trial.id)
    assert (after.status, after.trial_end) == ("trialing", ends)
    assert after["items"].data[0].price.id == price_id(here, "starter-monthly")


def test_a_plan_that_was_changed_in_the_dashboard_shows(here: World, bob: Person) -> None:
    item = at_stripe(here)["items"].data[0].id
    here.stripe().v1.subscriptions.update(
        at_stripe(here).id, {"items": [{"id": item, "price": price_id(here, "starter-monthly")}]}
    )
    bob.browser.open("/billing/change")  # asked of Stripe, before any webhook
    assert "You are on Starter" in bob.browser.text
    assert one(here, select(Plan.name).join(Subscription, Subscription.tier == Plan.tier)) == "Starter"
