"""Payloads of events that were handled long ago are removed; the events stay."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock, jobs
from portal.extensions import db
from portal.models import EventState, StripeEvent
from portal.webhooks import dry_runs, hints, masking, replays
from tests.conftest import Person
from tests.support import events
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def stored(state: EventState, number: int, days: float) -> None:
    at = clock.now() - timedelta(days=days)
    facts = {"mode": "live", "type": "product.created", "object_id": "prod_1", "payload": '{"id": "evt"}'}
    db.session.add(StripeEvent(**facts, event_id=f"evt_{number}", state=state, created_at=at, received_at=at))


def left() -> list[str]:
    query = select(StripeEvent.event_id).where(StripeEvent.payload != "").order_by(StripeEvent.id)
    return list(db.session.execute(query).scalars())


def test_only_what_was_handled_long_ago_loses_its_payload(app: Flask) -> None:
    for number, state in enumerate(EventState):
        stored(state, number, days=90.1)
        stored(state, number + 10, days=89.9)
    db.session.commit()
    assert jobs.tasks["event payloads"]() == 2
    gone = {f"evt_{number}" for number, state in enumerate(EventState) if state.is_final}
    every = {f"evt_{number + more}" for number, _ in enumerate(EventState) for more in (0, 10)}
    assert set(left()) == every - gone
    assert jobs.tasks["event payloads"]() == 0


def test_a_run_is_bounded_and_takes_the_oldest_first(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "REMOVED_AT_ONCE", 2)
    monkeypatch.setattr(masking, "REMOVED_IN_A_RUN", 4)
    for number in range(5):
        stored(EventState.PROCESSED, number, days=100 + number)
    db.session.commit()
    assert masking.remove_old() == 4
    assert left() == ["evt_0"]
    assert masking.remove_old() == 1


def test_an_event_without_its_payload_is_shown_and_still_known(here: World, bob: Person, ada: Person) -> None:
    event = next(one for one in events.since(here, "") if one["type"] == "invoice.paid")
    with here.app.app_context():
        long_ago = clock.now() - timedelta(days=91)
        db.session.execute(update(StripeEvent).values(received_at=long_ago))
        db.session.commit()
        assert masking.remove_old() >= 1
        row = db.session.execute(select(StripeEvent).filter_by(event_id=event["id"])).scalar_one()
        assert (row.state, row.payload) == (EventState.PROCESSED, "")
        with pytest.raises(hints.PayloadRemoved):
            replays.replay(row)
        assert dry_runs.rehearse(row).outcome == "refused"
        row_id = row.id
        db.session.commit()
    admin = ada.browser
    admin.open(f"/admin/events/{row_id}")
    assert "It was removed, because the event was handled long ago." in admin.text
    assert "Dry run" not in admin.text
    assert "was removed" in here.app.test_cli_runner().invoke(args=["events", "show", event["id"]]).output
    assert events.deliver(here, event).json()["status"] == "duplicate"
