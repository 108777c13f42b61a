"""Moving subscribers to another price: who is told, when it changes, and what they do meanwhile."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from portal import jobs
from portal.billing import cancellation
from portal.billing.plan_change import plan_changes
from portal.billing.price_changes import updates, words
from portal.billing.upcoming import refresh
from portal.catalogue import catalogue_file, load, push
from portal.enums import Mode
from portal.extensions import db
from portal.models import AuditEntry, OutboxMail, Price, PriceChange, Subscription, SubscriptionChange
from portal.settings.model import CATALOGUE
from tests.conftest import Person
from tests.support.clocked import Clocked, mailed, on_a_clock
from tests.support.world import World


def raise_starter() -> tuple[str, str]:
    """Sell Starter at $29.99 a month, and return the ids of the previous and the new price in test mode."""
    catalogue = catalogue_file.read(CATALOGUE)
    plans = tuple(
        replace(plan, prices=tuple(raised(one) for one in plan.prices)) if plan.key == "starter" else plan
        for plan in catalogue.plans
    )
    load.into_database(replace(catalogue, plans=plans), {})
    db.session.commit()
    list(push.push(Mode.TEST))
    query = select(Price.test_price_id).filter_by(key="starter-monthly").order_by(Price.withdrawn.desc())
    old, new = db.session.execute(query).scalars()
    db.session.commit()
    assert old
    assert new
    return old, new


def raised(price: catalogue_file.Price) -> catalogue_file.Price:
    if price.key != "starter-monthly":
        return price
    return replace(price, lookup_key="starter_monthly_raised", amount=2999)


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    """Alice's customer in test mode, on a clock, without a plan yet."""
    return on_a_clock(here, alice.user)


def migrate(here: World, old: str, new: str = "starter-monthly", *more: str) -> Result:
    words = ["catalogue", "migrate-price", "--from", old, "--to", new, "--mode", "test", *more]
    db.session.commit()
    done = here.app.test_cli_runner().invoke(args=words)
    db.session.expire_all()
    return done


def change() -> PriceChange:
    db.session.expire_all()
    found = db.session.execute(select(PriceChange).order_by(PriceChange.id.desc())).scalars().first()
    assert found
    db.session.commit()
    return found


def tick() -> None:
    db.session.commit()
    jobs.tasks["price changes"]()
    db.session.commit()


def paid(carol: Clocked) -> list[int]:
    found = carol.stripe.invoices.list({"customer": carol.stripe_customer, "limit": 100}).data
    return [invoice.total for invoice in found][::-1]


def at_stripe(carol: Clocked, stripe_id: str) -> Any:
    return carol.stripe.subscriptions.retrieve(stripe_id)


def subscription() -> Subscription:
    db.session.expire_all()
    found = db.session.execute(select(Subscription)).scalar_one()
    db.session.commit()
    return found


def three_with_a_discount(carol: Clocked) -> str:
    """Subscribe Carol to three of Starter, with ten percent off, and return the subscription's id."""
    coupon = carol.stripe.coupons.create({"percent_off": 10, "duration": "forever"})
    mine = carol.subscribe("starter_monthly", discounts=[{"coupon": coupon.id}])
    item = at_stripe(carol, mine)["items"].data[0].id
    carol.stripe.subscription_items.update(item, {"quantity": 3, "proration_behavior": "none"})
    carol.settle()
    return mine


@pytest.mark.both_databases
def test_a_price_is_raised_from_end_to_end(here: World, carol: Clocked) -> None:
    mine = three_with_a_discount(carol)
    old, new = raise_starter()
    listing = migrate(here, old, "starter-monthly", "--dry-run")
    assert (listing.exit_code, "1 subscriptions change" in listing.output) == (0, True)
    assert not mailed("price_changes")
    done = migrate(here, old, "starter-monthly", "--yes")
    assert "1 customers are told." in done.output
    assert change().state == "noticed"
    (mail,) = mailed("price_changes")
    assert (mail.context["was"], mail.context["price"]) == ("$19.99 a month", "3 × $29.99 a month")
    again = migrate(here, old, new, "--yes")
    assert "told already: 1" in again.output
    assert len(mailed("price_changes")) == 1
    carol.advance(days=27, hours=12)  # the day before a renewal within the notice
    tick()
    carol.advance(days=1)
    assert paid(carol)[-1] == 5397
    assert change().state == "noticed"
    carol.advance(days=29)  # 30 March
    tick()
    assert change().state == "noticed"
    carol.advance(days=1)
    before = len(paid(carol))
    tick()
    carol.settle()
    assert change().state == "done"
    now = at_stripe(carol, mine)
    assert [(one.price.id, one.quantity) for one in now["items"].data] == [(new, 3)]
    assert len(paid(carol)) == before  # nothing is charged before the renewal
    assert (subscription().price_id, subscription().tier) == (new, "starter")
    carol.advance(days=2)
    assert paid(carol)[-1] == 8097
    assert not mailed("plan_changed")
    actions = db.session.execute(select(AuditEntry.action).where(AuditEntry.action.like("price_change.%")))
    assert sorted(actions.scalars(), reverse=True) == ["price_change.noticed", "price_change.done"]
    tick()
    assert db.session.execute(select(SubscriptionChange.state)).scalars().all() == ["done"]


def test_who_ends_or_has_a_schedule_is_left_out_and_listed(here: World, carol: Clocked) -> None:
    mine = carol.subscribe("starter_monthly")
    old, new = raise_starter()
    carol.stripe.subscriptions.update(mine, {"cancel_at_period_end": True})
    carol.settle()
    told = migrate(here, old, new, "--yes")
    assert "0 subscriptions change" in told.output
    assert "Left out, ends on" in told.output
    carol.stripe.subscriptions.update(mine, {"cancel_at_period_end": False})
    carol.stripe.subscription_schedules.create({"from_subscription": mine})
    carol.settle()
    assert "Left out, has a schedule: 1" in migrate(here, old, new, "--yes").output
    assert db.session.execute(select(PriceChange)).scalars().all() == []


def told(here: World, carol: Clocked) -> tuple[str, str]:
    """Tell Carol, who has Starter, without a notice, and wait until the day before her renewal."""
    carol.subscribe("starter_monthly")
    old, new = raise_starter()
    assert "1 customers are told" in migrate(here, old, new, "--yes", "--notice-days", "0").output
    carol.advance(days=27, hours=12)
    return old, new


def test_who_cancels_keeps_the_price_and_who_resumes_pays_the_new_one(here: World, carol: Clocked) -> None:
    old, new = told(here, carol)
    cancellation.cancel(carol.customer)
    tick()
    assert (change().state, subscription().price_id) == ("noticed", old)
    assert words.of(subscription()) is None
    cancellation.resume(carol.customer)
    tick()
    carol.settle()
    assert (change().state, subscription().price_id) == ("done", new)


def test_who_changed_to_another_plan_drops_out(here: World, carol: Clocked) -> None:
    told(here, carol)
    shown = plan_changes.preview(carol.customer, "pro-monthly")
    plan_changes.confirm(carol.customer, "pro-monthly", shown.digest, shown.moment)
    carol.settle()
    tick()
    assert (change().state, subscription().tier) == ("dropped", "pro")
    assert len(mailed("plan_changed")) == 1


def test_who_has_ended_drops_out(here: World, carol: Clocked) -> None:
    told(here, carol)
    carol.stripe.subscriptions.cancel(subscription().stripe_id)
    carol.settle()
    tick()
    assert change().state == "dropped"


def test_a_change_without_an_answer_is_made_once(here: World, carol: Clocked) -> None:
    _, new = told(here, carol)
    here.fail(method="POST", next=3, after=True, path=f"/v1/subscriptions/{subscription().stripe_id}")
    tick()
    here.fail(next=0)
    jobs.tasks["plan changes"]()
    change().tried_at = None
    db.session.commit()
    tick()
    carol.settle()
    assert (change().state, subscription().price_id) == ("done", new)
    assert at_stripe(carol, subscription().stripe_id)["items"].data[0].price.id == new


def test_the_next_invoice_is_previewed_at_the_new_price(here: World, carol: Clocked) -> None:
    told(here, carol)
    assert refresh.bring_up_to_date(carol.customer)
    assert subscription().next_due == 2999
    tick()
    carol.settle()
    assert refresh.bring_up_to_date(carol.customer)
    assert subscription().next_due == 2999


def test_a_live_customer_sees_the_price_and_its_day(here: World, bob: Person, ada: Person) -> None:
    catalogue = catalogue_file.read(CATALOGUE)
    with here.app.app_context():
        plans = tuple(
            replace(
                plan,
                prices=tuple(
                    replace(one, lookup_key="pro_raised", amount=5999) if one.key == "pro-monthly" else one
                    for one in plan.prices
                ),
            )
            for plan in catalogue.plans
        )
        old = db.session.execute(select(Subscription.price_id)).scalar_one()
        load.into_database(replace(catalogue, plans=plans), {})
        db.session.commit()
        list(push.push(Mode.LIVE))
    args = ["catalogue", "migrate-price", "--from", old, "--to", "pro-monthly"]
    refused = here.app.test_cli_runner().invoke(args=args)
    assert refused.exit_code == 1
    assert "say --yes" in refused.output
    assert here.app.test_cli_runner().invoke(args=[*args, "--yes"]).exit_code == 0
    bob.browser.open("/billing")
    assert "Your price changes to $59.99 a month" in bob.browser.text
    assert "changes its price" in bob.browser.text
    with here.app.app_context():
        user_id = bob.user.id
        (mail,) = db.session.execute(select(OutboxMail).filter_by(template="price_changes")).scalars()
        assert mail.context["price"] == "$59.99 a month"
        db.session.commit()
    ada.browser.open(f"/admin/customers/{user_id}")
    assert "$59.99 a month" in ada.browser.text


def test_prices_that_do_not_fit_are_refused_by_name(here: World, app: Flask) -> None:
    old, new = raise_starter()
    for args, said in (
        (("price_unknown",), "has no price price_unknown"),
        ((old, "pro-monthly"), "different plans"),
        ((old, "starter-yearly"), "different cycles"),
        ((new, old), "not on sale"),
        ((new, new), "the same price"),
    ):
        refused = migrate(here, *args)
        assert refused.exit_code == 1
        assert said in refused.output


def test_only_the_last_day_before_a_renewal_after_the_notice_is_near() -> None:
    at = PriceChange(notice_until=updates.clock.now())
    ends = at.notice_until + timedelta(days=3)
    day, second = timedelta(days=1), timedelta(seconds=1)
    assert updates._is_near(ends, at, ends - day)
    assert updates._is_near(ends, at, ends - second)
    assert not updates._is_near(ends, at, ends - day - second)
    assert not updates._is_near(ends, at, ends)
    assert not updates._is_near(at.notice_until - second, at, at.notice_until - 2 * second)
