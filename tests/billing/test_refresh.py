"""The billing page asks Stripe what is new, and does without what Stripe does not answer."""

from datetime import datetime

import pytest
from sqlalchemy import event, select

from portal.billing.upcoming import refresh
from portal.extensions import db
from portal.models import Subscription
from tests.billing.test_plan_change import at_stripe
from tests.conftest import Person
from tests.support.looking import one
from tests.support.world import World

PREVIEW = "/v1/invoices/create_preview"


def synced(here: World) -> datetime:
    return one(here, select(Subscription.synced_at))


def test_a_preview_that_fails_leaves_out_the_preview_alone(here: World, bob: Person) -> None:
    here.lose_webhooks()
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"cancel_at_period_end": True})
    here.fail(method="POST", path=PREVIEW, next=50, status=500)
    bob.browser.open("/billing")
    assert "Resume plan" in bob.browser.text
    here.fail(next=0)
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"cancel_at_period_end": False})
    before = synced(here)
    bob.browser.open("/billing")  # it was synced just now, and previews pause
    assert synced(here) == before


def test_a_page_that_may_not_ask_reads_its_rows_once(
    here: World, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.fail(next=200, status=500)
    bob.browser.open("/billing")
    assert "amount not available right now" in bob.browser.text
    here.fail(next=0)
    before = synced(here)
    with here.app.app_context():
        asked: list[str] = []
        engine = db.engine

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            asked.append(statement)

        event.listen(engine, "before_cursor_execute", note)
    try:
        bob.browser.open("/billing")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert synced(here) == before
    assert len([one for one in asked if "usage_agreements" in one and "top_up_rules" in one]) == 1
    monkeypatch.setattr(refresh, "PAUSE_SECONDS", 0)
    here.app.extensions.pop(refresh.PAUSES)
    bob.browser.open("/billing")
    assert "amount not available right now" not in bob.browser.text
    assert synced(here) > before
