"""A worker killed at any moment of a delivery: the redelivery completes it, and adds nothing twice."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count

import pytest
import requests

from portal.settings import Settings
from tests.conftest import Person
from tests.support import credits, dying, events, servers
from tests.support.events import Json
from tests.support.world import World, environ

pytestmark = [pytest.mark.long, pytest.mark.both_databases]

COMPLETED = "checkout.session.completed"


@pytest.fixture
def guarded(here: World) -> Iterator[World]:
    """The same portal behind a gunicorn, whose worker is replaced when it dies."""
    settings: Settings = here.app.extensions["settings"]
    port = servers.free_port()
    given = environ(settings.instance_path, settings.database_url, port, here.sandbox)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "tests.support.dying:app"]
    with (settings.instance_path / "gunicorn.log").open("w") as log:
        process = subprocess.Popen(command, cwd=servers.ROOT, env=os.environ | given, stdout=log, stderr=log)
        try:
            base = f"http://127.0.0.1:{port}"
            servers.wait_until_up(f"{base}/healthz")
            yield dataclasses.replace(here, base=base)
        finally:
            process.terminate()
            process.wait(30)


def paid(here: World, alice: Person) -> Json:
    """What Stripe raised about one more purchase of Alice's; nothing of it was delivered."""
    mark = events.newest(here)
    credits.begin(alice, "Starter")
    alice.browser.pay(follow=False)
    return next(event for event in events.since(here, mark) if event["type"] == COMPLETED)


def is_killed(guarded: World, event: Json, commit: int) -> bool:
    """Deliver with an order to die after so many commits; false where the answer came before."""
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
