"""Forms about a plan that are sent twice at once, once more after they succeeded, or from a tab of before."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.billing import cancellation
from portal.billing.plan_change import plan_changes
from portal.billing.plan_change.options import NotChangeable
from portal.credits import ledger
from portal.credits.top_ups import rules, top_ups
from portal.extensions import db
from portal.models import Customer, Order, OutboxMail, Subscription, SubscriptionChange
from tests.billing.test_plan_change import at_stripe, starter
from tests.conftest import Person
from tests.support import servers
from tests.support.browsing import Form
from tests.support.clicks import again, at_once
from tests.support.clocked import Clocked, on_a_clock
from tests.support.looking import count, tier
from tests.support.world import World


def paid(here: World) -> list[int]:
    """What the only customer's invoices were paid with, in cents, the oldest first."""
    found = here.stripe().v1.invoices.list({"customer": str(at_stripe(here).customer), "limit": 100}).data
    return [invoice.amount_paid for invoice in found][::-1]


def mails(here: World, template: str) -> int:
    here.flush()
    with here.app.app_context():
        return len(db.session.execute(select(OutboxMail.id).filter_by(template=template)).all())


def changes(here: World) -> list[tuple[str, str]]:
    with here.app.app_context():
        query = select(SubscriptionChange.kind, SubscriptionChange.state).order_by(SubscriptionChange.id)
        return [(kind, str(state)) for kind, state in db.session.execute(query)]


def form_of(bob: Person, path: str, button: str) -> Form:
    bob.browser.open(path)
    return bob.browser.form(button)


@pytest.mark.both_databases
def test_a_checkout_that_is_begun_twice_at_once_is_one(here: World, alice: Person) -> None:
    alice.browser.open("/pricing")
    form = next(form for form in alice.browser.forms() if form.fields.get("price") == "pro-monthly")
    pages = at_once(alice.browser, form, form, form)
    assert {page.status_code for page in pages} == {200}
    assert len({page.url for page in pages}) == count(here, Order) == 1
    alice.browser.page = pages[0]
    alice.browser.pay()
    here.flush()
    assert again(alice.browser, form).status_code == 409
    assert "You have a plan already" in alice.browser.text
    assert (paid(here), count(here, Subscription), count(here, Order)) == ([4999], 1, 1)


@pytest.mark.both_databases
def test_two_plans_that_are_chosen_at_once_in_two_tabs_are_not_both_sold(here: World, alice: Person) -> None:
    alice.browser.open("/pricing")
    chosen = [
        next(form for form in alice.browser.forms() if form.fields.get("price") == price)
        for price in ("pro-monthly", "starter-monthly")
    ]
    pages = at_once(alice.browser, *chosen)
    left = [page for page in pages if page.status_code == 200]
    assert {page.status_code for page in pages} <= {200, 409, 410}  # 410: its checkout was ended by the other
    assert left
    for page in left:
        alice.browser.open(page.url)
        if any("Subscribe" in label for form in alice.browser.forms() for label in form.buttons):
            alice.browser.pay()
    here.flush()
    assert (len(paid(here)), count(here, Subscription)) == (1, 1)


@pytest.mark.both_databases
def test_an_upgrade_that_is_sent_twice_at_once_is_paid_once(here: World) -> None:
    bob = starter(here)
    form = form_of(bob, "/billing/change?price=pro-monthly", "Confirm change")
    pages = at_once(bob.browser, form, form)
    assert [page.status_code for page in pages] == [200, 200]
    assert all(page.url.endswith("/billing") for page in pages)
    assert again(bob.browser, form).url.endswith("/billing")
    assert "You are on Pro already" in bob.browser.text
    assert (paid(here), tier(here), changes(here)) == ([1999, 3000], "pro", [("change", "done")])
    assert mails(here, "plan_changed") == 1


@pytest.mark.both_databases
def test_a_downgrade_that_is_sent_twice_at_once_is_planned_once(here: World, bob: Person) -> None:
    form = form_of(bob, "/billing/change?price=starter-monthly", "Confirm change")
    pages = at_once(bob.browser, form, form)
    assert all(page.url.endswith("/billing") for page in pages)
    again(bob.browser, form)
    bob.browser.open("/billing")
    assert "Your plan changes to Starter, $19.99 a month" in bob.browser.text
    schedules = here.stripe().v1.subscription_schedules.list({"customer": str(at_stripe(here).customer)}).data
    assert [schedule.status for schedule in schedules].count("active") == 1
    keep = bob.browser.form("Keep current plan")
    at_once(bob.browser, keep, keep)
    assert again(bob.browser, keep).status_code == 409
    assert "Your plan stays as it is already" in bob.browser.text
    assert (paid(here), tier(here), at_stripe(here).schedule) == ([4999], "pro", None)


@pytest.mark.both_databases
def test_a_cancellation_that_is_sent_twice_at_once_is_one_and_so_is_resuming(here: World, bob: Person) -> None:
    form = form_of(bob, "/billing/cancel", "Cancel at period end")
    at_once(bob.browser, form, form)
    assert again(bob.browser, form).status_code == 409
    assert "cancelled already" in bob.browser.text
    assert at_stripe(here).cancel_at_period_end
    assert (changes(here), mails(here, "cancelled")) == ([("cancel", "done")], 1)
    form = form_of(bob, "/billing", "Resume plan")
    at_once(bob.browser, form, form)
    assert again(bob.browser, form).status_code == 409
    assert "goes on already" in bob.browser.text
    assert not at_stripe(here).cancel_at_period_end
    assert [state for _, state in changes(here)] == ["done", "done"]


def test_forms_of_a_tab_from_before_do_nothing_and_say_what_is_so(here: World, bob: Person) -> None:
    upgrade = form_of(bob, "/billing/change?price=enterprise-monthly", "Confirm change")
    cancel = form_of(bob, "/billing/cancel", "Cancel at period end")
    again(bob.browser, cancel)
    assert again(bob.browser, upgrade).status_code == 409
    assert "Resume it first" in bob.browser.text
    resume = form_of(bob, "/billing", "Resume plan")
    here.stripe().v1.subscriptions.cancel(at_stripe(here).id)  # in the dashboard, of which no webhook has told
    for form, words in ((resume, "has ended"), (upgrade, "no paid plan yet"), (cancel, "Your plan ended on")):
        assert again(bob.browser, form).status_code == 409
        assert words in bob.browser.text
    assert (paid(here), tier(here)) == ([4999], "free")


@pytest.mark.parametrize("removed", ["discount", "coupon", "customer's"])
def test_a_discount_that_ends_between_price_and_confirmation(here: World, removed: str) -> None:
    """Its coupon's deletion ends no discount at Stripe; without the discount, the new amount is shown first."""
    bob, stripe = starter(here), here.stripe().v1
    mine, customer = at_stripe(here).id, str(at_stripe(here).customer)
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "forever"})
    if removed == "customer's":
        by_promotion_code(here, customer, coupon.id)
    else:
        stripe.subscriptions.update(mine, {"discounts": [{"coupon": coupon.id}]})
    here.flush()
    form = form_of(bob, "/billing/change?price=pro-monthly", "Confirm change")
    shown = bob.browser.text
    if removed == "coupon":
        stripe.coupons.delete(coupon.id)
    elif removed == "discount":
        stripe.subscriptions.delete_discount(mine)
    else:
        stripe.customers.delete_discount(customer)
    answer = again(bob.browser, form)
    if removed == "coupon":
        assert answer.url.endswith("/billing")
    else:
        assert answer.status_code == 409
        assert "Look again" in bob.browser.text
        assert (paid(here), tier(here)) == ([1999], "starter")
        shown = bob.browser.text
        bob.browser.press("Confirm change")
    assert tier(here) == "pro"
    assert f"Due today ${paid(here)[-1] / 100:.2f}" in shown
    assert len(paid(here)) == 2


def by_promotion_code(here: World, customer: str, coupon: str) -> None:
    """Give a customer the discount of a promotion code, as versions of Stripe's API before 2025 do."""
    code = here.stripe().v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}})
    headers = {"Stripe-Version": "2024-06-20", "Authorization": f"Bearer {servers.LIVE_KEY}"}
    url = f"{here.sandbox}/v1/customers/{customer}"
    here.wire.post(url, data={"promotion_code": code.id}, headers=headers, timeout=30).raise_for_status()


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    """Alice's customer in test mode, on a clock, who pays for Starter; the first month is over."""
    someone = on_a_clock(here, alice.user)
    someone.subscribe("starter_monthly")
    return someone


def invoices_of(carol: Clocked) -> list[tuple[str, int]]:
    found = carol.stripe.invoices.list({"customer": carol.stripe_customer, "limit": 100}).data
    return [(invoice.status, invoice.total) for invoice in found][::-1]


def test_an_upgrade_beside_the_draft_of_the_renewal_charges_each_once(carol: Clocked) -> None:
    carol.advance(days=28, minutes=10)  # Stripe keeps the renewal's invoice a draft for an hour
    assert invoices_of(carol) == [("paid", 1999), ("draft", 1999)]
    shown = plan_changes.preview(carol.customer, "pro-monthly")
    plan_changes.confirm(carol.customer, "pro-monthly", shown.digest, shown.moment)
    carol.settle()
    carol.advance(hours=2)
    assert sorted(invoices_of(carol)) == sorted([("paid", 1999), ("paid", 1999), ("paid", shown.due_today)])
    assert 2900 < shown.due_today <= 3000


def test_an_upgrade_of_a_tab_from_before_the_renewal_failed_charges_nothing(carol: Clocked) -> None:
    carol.advance(days=27)
    shown = plan_changes.preview(carol.customer, "pro-monthly")
    carol.use_card("pm_card_chargeCustomerFail")
    carol.here.lose_webhooks()  # no webhook tells of the failed renewal
    carol.advance(days=1, hours=2)
    carol.here.deliveries(hold=True)
    assert invoices_of(carol)[-1] == ("open", 1999)
    with pytest.raises((NotChangeable, plan_changes.Outdated)):
        plan_changes.confirm(carol.customer, "pro-monthly", shown.digest, shown.moment)
    with pytest.raises(NotChangeable, match="A payment is open"):
        plan_changes.preview(carol.customer, "pro-monthly")
    db.session.rollback()
    assert invoices_of(carol) == [("paid", 1999), ("open", 1999)]
    assert db.session.execute(select(SubscriptionChange)).scalars().all() == []


@pytest.mark.both_databases
def test_a_cancellation_beside_a_top_up_under_way_touches_each_once(here: World, app: Flask, bob: Person) -> None:
    customer = db.session.execute(select(Customer)).scalar_one()
    rules.turn_on(customer.id, rules.Terms(1000, "basic", 10_000))
    db.session.commit()
    start = Barrier(3)

    def beside(act: Any) -> None:
        with here.app.app_context():
            start.wait(30)
            act()
            db.session.remove()

    def cancel() -> None:
        cancellation.cancel(db.session.execute(select(Customer)).scalar_one(), "unused")

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(beside, act) for act in (top_ups.run, cancel, top_ups.run)]:
            done.result()
    here.flush()
    db.session.expire_all()
    assert ledger.balance(customer.id) == 5500
    assert db.session.execute(select(Order.state).filter_by(auto=True)).scalars().all() == ["paid"]
    db.session.rollback()
    assert at_stripe(here).cancel_at_period_end
    assert changes(here) == [("cancel", "done")]
    intents = here.stripe().v1.payment_intents.list({"customer": str(at_stripe(here).customer)}).data
    assert sorted(intent.amount_received for intent in intents) == [4500, 4999]
