"""The event inspector: search, effects, replay, dry run and missed events."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from portal import clock
from portal.admin import event_views
from portal.extensions import db
from portal.models import AuditEntry, StripeEvent, Subscription
from portal.webhooks import dry_runs, replays, search, statistics
from portal.webhooks.handlers import HANDLERS
from portal.webhooks.search import Filter
from tests.conftest import Person
from tests.support import events
from tests.support.browsing import Browser
from tests.support.events import Json
from tests.support.world import World


@pytest.fixture
def raised(here: World, alice: Person) -> dict[str, Json]:
    """The events about Alice's purchase, by type; none was delivered."""
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    return {event["type"]: event for event in events.since(here, mark)}


def row(here: World, event: Json) -> StripeEvent:
    with here.app.app_context():
        return search.by_id(event["id"])


def path(here: World, event: Json) -> str:
    return f"/admin/events/{row(here, event).id}"


def actions(here: World) -> list[str]:
    with here.app.app_context():
        query = select(AuditEntry.action).filter_by(actor="user").order_by(AuditEntry.id)
        return list(db.session.execute(query).scalars())


def types(admin: Browser, query: str) -> list[str]:
    """The types of the events that the list shows."""
    admin.open(f"/admin/events?{query}")
    rows = admin.page.text.split("<tbody>")[-1].split("<tr>")[1:]
    return [one.split("<a href=", 1)[1].split(">", 1)[1].split("<", 1)[0] for one in rows if "<a href=" in one]


def test_the_list_is_narrowed_by_everything_that_an_event_has(
    here: World, admin: Browser, raised: dict[str, Json]
) -> None:
    for name in ("invoice.paid", "charge.succeeded", "customer.subscription.created"):
        events.deliver(here, raised[name])
    subscription = raised["customer.subscription.created"]["data"]["object"]
    wanted = {
        "type=invoice.paid": {"invoice.paid"},
        "type=invoice": {"invoice.paid"},
        "type=customer": {"customer.subscription.created"},
        "state=ignored": {"charge.succeeded"},
        "mode=test": set(),
        "mode=live&state=processed": {"invoice.paid", "customer.subscription.created"},
        f"about={subscription['id']}": {"customer.subscription.created"},
        f"about={subscription['customer']}&type=invoice.paid": {"invoice.paid"},
        "about=Alice@example.com": {"invoice.paid", "charge.succeeded", "customer.subscription.created"},
        "about=bob@example.com": set(),
        f"about={raised['invoice.paid']['id']}": {"invoice.paid"},
        f"since={clock.now() + timedelta(days=2):%Y-%m-%d}": set(),
        f"until={clock.now() - timedelta(days=2):%Y-%m-%d}": set(),
        f"since={clock.now() - timedelta(days=1):%Y-%m-%d}&type=invoice.paid": {"invoice.paid"},
    }
    for query, expected in wanted.items():
        assert set(types(admin, query)) == expected, query
    assert "No event fits this." in admin.open("/admin/events?mode=test").text
    assert admin.open("/admin/events?since=2026-02-02&until=2026-02-01").status_code == 400
    assert admin.open("/admin/events?before=x").status_code == 400


def test_pages_follow_each_other_without_a_gap(app: object) -> None:
    now = clock.now()
    facts = {"mode": "live", "type": "product.created", "object_id": "prod_1", "state": "ignored", "payload": "{}"}
    for number in range(7):
        one = StripeEvent(**facts, event_id=f"evt_{number}", created_at=now, received_at=now + timedelta(number))
        db.session.add(one)
        db.session.flush()
    seen, before = [], None
    while True:
        found, before = search.page(Filter(), before, size=3)
        seen += [one.event_id for one in found]
        if before is None:
            break
    assert seen == [f"evt_{number}" for number in range(6, -1, -1)]
    third, fifth = now + timedelta(3), now + timedelta(5)
    found, _ = search.page(Filter(since=third, until=fifth))
    assert [one.event_id for one in found] == ["evt_4", "evt_3"]


def test_a_payload_is_masked_until_somebody_asks_and_that_is_written_down(
    here: World, admin: Browser, raised: dict[str, Json]
) -> None:
    event = raised["checkout.session.completed"]
    events.deliver(here, event)
    admin.open(path(here, event))
    assert "a…@example.com" in admin.text
    assert "alice@example.com" not in admin.page.text.split("Payload</h2>")[1]
    assert "Test Person" not in admin.text
    admin.press("Show all of it")
    assert "Test Person" in admin.text
    assert admin.page.headers["Referrer-Policy"] == "no-referrer"
    assert "event.payload_shown" in actions(here)


def test_a_dry_run_says_what_a_replay_would_change_and_changes_nothing(
    here: World, admin: Browser, raised: dict[str, Json]
) -> None:
    event = raised["customer.subscription.created"]
    events.deliver(here, event)
    with here.app.app_context():
        db.session.execute(update(Subscription).values(status="past_due", tier="starter"))
        db.session.commit()
        address = path(here, event)
        admin.open(address)
        before = events.photograph()
    admin.press("Dry run")
    assert "Dry run: it would be processed" in admin.text
    assert "status past_due → is now active" in admin.text
    assert "tier starter → is now pro" in admin.text
    with here.app.app_context():
        assert events.photograph() == before
    admin.open(address)
    admin.press("Replay")
    assert "Replayed: the event is processed." in admin.text
    admin.press("Dry run")
    assert "Nothing would change" in admin.text
    assert "event.replayed" in actions(here)


@pytest.mark.parametrize(
    "name", ["checkout.session.completed", "invoice.paid", "customer.updated", "charge.succeeded"]
)
def test_a_dry_run_of_what_never_was_handled_leaves_every_table_as_it_was(
    here: World, raised: dict[str, Json], name: str
) -> None:
    event = raised.get(name) or raised["invoice.paid"]
    here.fail(next=2, path="/v1/", status=500)
    events.deliver(here, event)
    here.fail(next=0)
    with here.app.app_context():
        stored = search.by_id(event["id"])
        db.session.commit()
        before = events.photograph()
        db.session.commit()
        rehearsed = dry_runs.rehearse(stored)
        assert events.photograph() == before
        new = {change.table for change in rehearsed.changes}
    if name == "checkout.session.completed":
        assert rehearsed.outcome == "processed"
        assert {"subscriptions", "orders", "invoices"} <= new
    if name == "charge.succeeded":
        assert rehearsed.outcome == "ignored"


def test_a_dry_run_ends_with_words_where_stripe_does_not_answer(
    here: World, admin: Browser, raised: dict[str, Json]
) -> None:
    event = raised["invoice.paid"]
    events.deliver(here, event)
    admin.open(path(here, event))
    here.fail(next=4, path="/v1/", status=500)
    admin.press("Dry run")
    assert "it would be failed" in admin.text
    admin.open(path(here, event))
    here.fail(next=4, path="/v1/", status=500)
    admin.press("Replay")
    assert "it failed again" in admin.text
    assert row(here, event).state == "failed"


def test_a_parked_event_asks_again_whether_its_object_is_ours(
    here: World, admin: Browser, raised: dict[str, Json]
) -> None:
    with here.app.app_context():
        thing = raised["customer.subscription.created"]
    events.deliver(here, thing | {"data": {"object": thing["data"]["object"] | {"id": "sub_neverWas"}}})
    admin.open(path(here, thing))
    assert "unknown to Stripe" in admin.text
    admin.press("Replay")
    assert "Replayed: the event is parked." in admin.text
    assert row(here, thing).attempts == 2


def test_what_was_missed_is_fetched_once(here: World, admin: Browser, raised: dict[str, Json]) -> None:
    events.deliver(here, raised["invoice.paid"])
    began = clock.now() - timedelta(seconds=30)
    with here.app.app_context():
        fetched = dict(replays.backfill("live", began))
        list(replays.backfill("live", began))  # what was fetched has raised something in turn
        assert list(replays.backfill("live", began)) == []
    assert fetched[raised["checkout.session.completed"]["id"]] == "processed"
    assert raised["invoice.paid"]["id"] not in fetched
    assert row(here, raised["invoice.paid"]).duplicates == 0
    admin.open("/admin/events")
    assert admin.press("Fetch missed events", mode="live", days="4000").status_code == 400
    admin.open("/admin/events")
    admin.press("Fetch missed events", mode="test", days="1")
    assert "missed" in admin.text
    assert actions(here).count("events.backfilled") == 1


def test_many_missed_events_are_fetched_in_several_presses(
    here: World, admin: Browser, raised: dict[str, Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_views, "MOST_AT_ONCE", 2)
    said = []
    while not said or "There may be more" in said[-1]:
        admin.open("/admin/events")
        admin.press("Fetch missed events", mode="live", days="1")
        said.append(admin.text)
    assert "2 missed events were fetched from Stripe. There may be more: fetch again." in said[0]
    with here.app.app_context():
        known = set(db.session.execute(select(StripeEvent.event_id)).scalars())
    assert {event["id"] for type, event in raised.items() if type in HANDLERS} <= known


def test_health_counts_failures_and_repeated_deliveries(
    here: World, admin: Browser, raised: dict[str, Json]
) -> None:
    event = raised["invoice.paid"]
    here.fail(next=2, path="/v1/invoices", status=500)
    assert events.deliver(here, event).status_code == 500
    with here.app.app_context():
        assert statistics.read().oldest_open is not None
    for _ in range(3):
        events.deliver(here, event)
    with here.app.app_context():
        seen = statistics.read()
    assert (seen.events, seen.duplicates, seen.success_percent, seen.oldest_open) == (1, 2, 75.0, None)
    admin.open("/admin/events")
    assert "75.0% of deliveries succeeded" in admin.text


def test_the_command_line_shows_the_difference_too(here: World, raised: dict[str, Json]) -> None:
    event = raised["customer.subscription.created"]

    def flask(*words: str) -> str:
        result = here.app.test_cli_runner().invoke(args=["events", *words])
        assert result.exit_code == 0, result.output
        return str(result.output)

    since = clock.now() - timedelta(seconds=30)
    assert f"{event['id']}  processed" in flask("backfill", "--since", f"{since:%Y-%m-%dT%H:%M:%S}")
    with here.app.app_context():
        db.session.execute(update(Subscription).values(status="paused"))
        db.session.commit()
    shown = flask("replay", event["id"], "--dry-run")
    assert "would be processed" in shown
    assert "status: paused → active" in shown
