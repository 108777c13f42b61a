"""A worker killed at any moment of a delivery: the redelivery completes it, and adds nothing twice."""

import dataclasses
from collections.abc import Iterator
from itertools import count

import pytest
import requests

from tests.conftest import Person
from tests.support import credits, dying, events, servers
from tests.support.events import Json
from tests.support.world import World, gunicorn

pytestmark = [pytest.mark.long, pytest.mark.both_databases]

COMPLETED = "checkout.session.completed"


@pytest.fixture
def guarded(here: World) -> Iterator[World]:
    """The same portal under gunicorn, which replaces a worker that dies."""
    with gunicorn(here, "tests.support.dying:app") as base:
        yield dataclasses.replace(here, base=base)


def paid(here: World, alice: Person) -> Json:
    """The events of another purchase of Alice's; none was delivered."""
    mark = events.newest(here)
    credits.begin(alice, "Starter")
    alice.browser.pay(follow=False)
    return next(event for event in events.since(here, mark) if event["type"] == COMPLETED)


def is_killed(guarded: World, event: Json, commit: int) -> bool:
    """Deliver an event, to be killed after so many commits; return False if the response came before."""
    try:
        answer = events.deliver(guarded, event, **{dying.HEADER: str(commit)})
    except requests.ConnectionError:
        return True
    assert answer.json()["status"] == "processed"
    return False


def test_a_worker_killed_after_any_commit_loses_nothing_and_doubles_nothing(
    here: World, guarded: World, alice: Person
) -> None:
    redelivered = []
    for commit in count(1):
        event = paid(here, alice)
        if not is_killed(guarded, event, commit):
            break
        told = len(credits.entries(here)) == commit  # before the redelivery
        servers.wait_until_up(f"{guarded.base}/healthz")
        status = events.deliver(guarded, event).json()["status"]
        assert status == ("duplicate" if told else "processed")
        assert credits.balance(here) == 1000 * commit == 1000 * len(credits.entries(here))
        redelivered.append(status)
    assert redelivered[0] == "processed", "killed when the event's row was there, and nothing else"
    assert redelivered[-1] == "duplicate", "killed when all was done, and not yet answered"
    assert redelivered.count("duplicate") == 1
