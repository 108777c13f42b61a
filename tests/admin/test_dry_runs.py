"""Dry runs of events that cannot be handled, and with concurrent writers."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import StripeEvent
from portal.webhooks import dry_runs, handlers, inbox
from portal.webhooks.handlers import Handler
from tests.conftest import Person, person
from tests.support.browsing import Browser
from tests.support.world import World


def stored(here: World, kind: str) -> StripeEvent:
    with here.app.app_context():
        return db.session.execute(select(StripeEvent).filter_by(type=kind).limit(1)).scalar_one()


def test_a_handler_s_own_fault_is_shown_as_a_replay_would_record_it(
    here: World, admin: Browser, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_snapshot: Any) -> None:
        raise KeyError("lines of bob@example.com")

    read = handlers.HANDLERS["invoice.paid"][0].read
    monkeypatch.setitem(handlers.HANDLERS, "invoice.paid", (Handler(read, stumble, "Fails"),))
    admin.open(f"/admin/events/{stored(here, 'invoice.paid').id}")
    admin.press("Dry run")
    assert "Dry run: it would be failed" in admin.text
    assert "KeyError: 'lines of b…@example.com'" in admin.text.replace("&#34;", '"')


def test_what_stripe_does_not_know_would_be_parked(here: World, admin: Browser, bob: Person) -> None:
    event = stored(here, "invoice.paid")
    with here.app.app_context():
        db.session.get_one(StripeEvent, event.id).payload = event.payload.replace(event.object_id, "in_never")
        db.session.commit()
    admin.open(f"/admin/events/{event.id}")
    admin.press("Dry run")
    assert "Dry run: it would be parked" in admin.text


@pytest.mark.both_databases
def test_what_others_do_meanwhile_is_no_change_of_the_event(
    here: World, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = inbox.apply

    def apply_beside_others(*given: Any) -> None:
        apply(*given)
        if here.database != "sqlite":  # which lets nobody write beside a dry run
            person(here, "alice")

    monkeypatch.setattr(inbox, "apply", apply_beside_others)
    with here.app.app_context():
        rehearsed = dry_runs.rehearse(stored(here, "customer.subscription.created"))
    assert rehearsed.outcome == "processed"
    assert rehearsed.changes == []
