"""The log's words that operators count: each is said once for what it reports, and never by a dry run."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.billing import invoices, subscriptions
from portal.extensions import db
from portal.models import Invoice, StripeEvent, Subscription
from portal.webhooks import dry_runs
from tests.conftest import Person
from tests.support import events
from tests.support.cast import bob as buy_pro
from tests.support.world import World

COUNTED = ("payment_succeeded", "subscription_activated", "subscription_updated")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines: list[Any] = [record.msg for record in caplog.records]
    return [line["event"] for line in lines if isinstance(line, dict) and line.get("event") in COUNTED]


def test_a_payment_and_each_change_are_logged_once(here: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    mark = events.newest(here)
    buy_pro(here)
    assert said(caplog).count("payment_succeeded") == 1
    assert said(caplog).count("subscription_activated") == 1
    before = said(caplog)
    for event in events.since(here, mark):
        events.deliver(here, {**event, "id": event["id"] + "_again"})
    with here.app.app_context():
        (invoice,) = db.session.execute(select(Invoice)).scalars().all()
        (plan,) = db.session.execute(select(Subscription)).scalars().all()
        mode, invoice_id, plan_id = invoice.mode, invoice.stripe_id, plan.stripe_id
        db.session.commit()
        invoices.apply(invoices.read_alone(mode, invoice_id))
        subscriptions.sync(mode, plan_id)
        db.session.commit()
    assert said(caplog) == before
    here.stripe().v1.subscriptions.update(plan_id, {"cancel_at_period_end": True})
    here.flush()
    assert said(caplog) == [*before, "subscription_updated"]


def test_a_dry_run_logs_nothing_as_if_it_had_happened(
    here: World, bob: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with here.app.app_context():
        plan = db.session.execute(select(Subscription)).scalar_one()
        mode, plan_id = plan.mode, plan.stripe_id
        db.session.commit()
        query = select(StripeEvent).filter_by(type="customer.subscription.created").limit(1)
        event = db.session.execute(query).scalar_one()
        here.deliveries(hold=True)
        here.stripe().v1.subscriptions.update(plan_id, {"cancel_at_period_end": True})
        rehearsed = dry_runs.rehearse(event)
        assert "subscriptions" in {change.table for change in rehearsed.changes}
        assert said(caplog) == []
        subscriptions.sync(mode, plan_id)
        assert said(caplog) == ["subscription_updated"]


def test_what_is_rolled_back_is_logged_once_it_is_committed(
    here: World, bob: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    here.flush()
    with here.app.app_context():
        plan = db.session.execute(select(Subscription)).scalar_one()
        mode, plan_id = plan.mode, plan.stripe_id
        db.session.commit()
        here.lose_webhooks()
        here.stripe().v1.subscriptions.update(plan_id, {"cancel_at_period_end": True})
        for _ in range(2):
            subscriptions.apply(subscriptions.read(mode, plan_id))
            assert said(caplog) == []
            db.session.rollback()
        db.session.commit()
        assert said(caplog) == []
        subscriptions.apply(subscriptions.read(mode, plan_id))
        with db.session.begin_nested():
            db.session.execute(select(1))
        assert said(caplog) == []
        db.session.commit()
        assert said(caplog) == ["subscription_updated"]
        db.session.commit()
        assert said(caplog) == ["subscription_updated"]
