"""`flask reconcile` lists calls to Stripe with an unknown outcome, and changes that stay unpaid."""

from datetime import timedelta
from typing import Any

import pytest

from portal import clock
from portal.extensions import db
from portal.models import Customer, OpenCall, SubscriptionChange
from tests.conftest import Person
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def reconciled(here: World) -> tuple[int, str]:
    """Exit status, and what was printed, single-spaced."""
    with here.app.app_context():
        ran = here.app.test_cli_runner().invoke(args=["reconcile", "--mode", "live"])
    return ran.exit_code, " ".join(ran.output.split())


def add(here: World, row: Any) -> None:
    with here.app.app_context():
        row.customer_id = db.session.query(Customer.id).filter_by(mode="live").scalar()
        db.session.add(row)
        db.session.commit()


def test_calls_without_an_answer_and_those_that_a_person_decides_about(here: World, bob: Person) -> None:
    assert "call" not in reconciled(here)[1]
    asked = clock.now() - timedelta(hours=30)
    since = f"{asked:%Y-%m-%d %H:%M} UTC"
    facts: dict[str, Any] = {"mode": "live", "claim": "refund_orders"}
    add(here, OpenCall(claim_id=7, called_at=clock.now(), **facts))  # being made right now
    assert "call" not in reconciled(here)[1]
    add(here, OpenCall(claim_id=8, called_at=asked, **facts))
    add(here, OpenCall(claim_id=9, called_at=asked, opened_at=asked, unclear_at=clock.now(), **facts))
    add(here, OpenCall(claim_id=10, called_at=asked, opened_at=asked, settled_at=clock.now(), **facts))
    status, told = reconciled(here)
    assert status == 1
    assert f"live open call refund_orders 8 an answer of Stripe's none since {since}" in told
    assert f"live unclear call refund_orders 9 somebody decides about it unclear since {since}" in told
    assert "refund_orders 7" not in told
    assert "refund_orders 10" not in told
    assert 'unclear call: Look at Stripe, then press "It happened" or "Do it again"' in told
    assert "open call: `flask tick` looks for what it did" in told


def test_a_change_that_is_not_paid_after_a_month(here: World, bob: Person) -> None:
    long_ago = clock.now() - timedelta(days=31)
    change = {"mode": "live", "kind": "change", "params": {}, "state": "paying"}
    add(here, SubscriptionChange(subscription_id="sub_1", created_at=long_ago, **change))
    add(here, SubscriptionChange(subscription_id="sub_just_now", created_at=clock.now(), **change))
    status, told = reconciled(here)
    assert status == 1
    assert f"live plan change sub_1 paid or failed within 30 days paying since {long_ago:%Y-%m-%d}" in told
    assert "sub_just_now" not in told
