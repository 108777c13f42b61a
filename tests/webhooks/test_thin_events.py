"""Thin events are refused with what to do about them. https://docs.stripe.com/event-destinations#thin-events"""

import json
from typing import Any

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import StripeEvent
from tests.support import events
from tests.support.world import World

THIN: dict[str, Any] = {
    "id": "evt_65RCjj4bF7ZTJ",
    "object": "v2.core.event",
    "type": "v1.billing.meter.no_meter_found",
    "livemode": True,
    "created": "2026-11-27T12:00:00.000Z",
    "context": None,
    "related_object": None,
}
MORE: dict[str, dict[str, Any]] = {
    "of a meter": {},
    "about a customer": {
        "type": "v1.customer.updated",
        "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
    },
    "as a notification": {"object": "v2.core.event_notification"},
    "with data": {"data": {"developer_message_summary": "There is 1 invalid event"}},
}


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_thin_event_is_refused_with_the_fix(here: World, mode: str, more: dict[str, Any]) -> None:
    answer = events.deliver(here, THIN | more | {"livemode": mode == "live"}, mode)
    assert answer.status_code == 400
    told = answer.json()
    assert told["code"] == "thin_event"
    for words in ("snapshot", "Snapshot", "flask webhooks push", "--all-snapshot"):
        assert words in told["detail"]
    with here.app.app_context():
        assert db.session.execute(select(StripeEvent)).first() is None


def test_its_signature_is_checked_first(here: World) -> None:
    answer = events.deliver(here, THIN, **{"Stripe-Signature": "t=1,v1=0"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")


@pytest.mark.parametrize("broken", [{"type": None}, {"type": "x" * 300}, {"object": ["v2.core.event"]}])
def test_what_is_no_event_at_all_is_refused_as_that(here: World, broken: dict[str, Any]) -> None:
    answer = events.deliver(here, THIN | broken)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert json.loads(answer.text)["errors"].keys() == {"body"}
