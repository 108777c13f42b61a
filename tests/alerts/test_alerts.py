"""ALERTS_TO: each alert is told once while it lasts, and so is its end."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from portal import clock, instruments, jobs
from portal.alerts import memory, messages, rules, watch
from portal.extensions import db
from portal.models import OperatorAlert
from tests.alerts.conftest import OPS, SECRET_PATH, Chat
from tests.conftest import Person
from tests.metrics.test_alerts import asking_stripe, canceled, delivered, moving_money
from tests.support import mailbox, servers
from tests.support.looking import everything_stored
from tests.support.world import World, environ, eventually

MINUTE = timedelta(minutes=1)


def run(minutes: float = 1) -> int:
    """Run the task so much later than before, and let its messages arrive."""
    with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
        changed = watch.run()
        messages.wait()
    return changed


def later(first: int, last: int) -> int:
    """Run it each minute, and return how many alerts began or ended."""
    return sum(run(minute) for minute in range(first, last + 1))


def subjects(here: World) -> list[str]:
    return [str(one["Subject"]) for one in mailbox.letters(here, OPS)]


def slow_webhooks() -> None:
    for seconds in (0.1, 7):
        instruments.REQUESTS.labels("webhooks.live").observe(seconds)


def slightly_slow_webhooks() -> None:
    for seconds in (0.1, 4):
        instruments.REQUESTS.labels("webhooks.live").observe(seconds)


MADE: list[tuple[str, Callable[[], None], bool]] = [
    ("webhook failures", delivered(18, 2), True),
    ("webhook failures", delivered(17, 2), False),
    ("webhook failures", delivered(38, 2), False),
    ("payment errors", moving_money(18, 1, 1), True),
    ("payment errors", moving_money(17, 1, 1), False),
    ("payment errors", moving_money(1, 40, 0), False),
    ("webhook latency", slow_webhooks, True),
    ("webhook latency", slightly_slow_webhooks, False),
]


@pytest.mark.parametrize(("name", "make", "fires"), MADE)
def test_a_rule_holds_on_a_made_case(
    here: World, app: Flask, told: Chat, name: str, make: Callable[[], None], fires: bool
) -> None:
    assert run(0) == 0
    make()
    assert run(1) == int(fires)
    found = db.session.execute(select(OperatorAlert.name)).scalars().all()
    db.session.commit()
    assert found == [name] * fires
    severity = rules.SEVERITY[name]
    assert [text.split(":")[0] for text in told.texts] == [f"[{severity}] 127.0.0.1"] * fires
    assert [f"{severity.capitalize()}: {name}" in one for one in subjects(here)] == [True] * fires


def test_a_rule_on_calls_to_stripe(here: World, app: Flask, told: Chat) -> None:
    run(0)
    asking_stripe(here, 19, 1)
    assert run(1) == 0  # 5%, not more
    asking_stripe(here, 0, 1)
    assert run(2) == 1
    assert "calls to Stripe failed in 15 minutes" in told.texts[0]


def test_a_rule_on_cancellations(here: World, app: Flask, told: Chat, bob: Person) -> None:
    run(0)
    canceled(4, 0)()
    assert run(1) == 0
    canceled(5, 0)()
    assert run(2) == 1
    assert "5 subscriptions were canceled in 24 hours" in told.texts[0]


@pytest.mark.both_databases
def test_an_alert_is_told_once_and_so_is_its_end(here: World, app: Flask, told: Chat) -> None:
    run(0)
    delivered(10, 10)()
    assert later(1, 4) == 1
    assert (len(told.texts), len(subjects(here))) == (1, 1)
    assert "10 of 20 attempts to handle a Stripe event failed in 5 minutes." in told.texts[0]
    assert later(5, 16) == 1
    assert len(told.texts) == len(subjects(here)) == 2
    assert told.texts[1].startswith("[ended] ")
    assert " until " in told.texts[1]
    assert later(17, 19) == 0
    with time_machine.travel(clock.now() + 20 * MINUTE, tick=True):
        delivered(10, 10)()
    assert later(21, 22) == 1  # it begins anew
    assert len(told.texts) == len(subjects(here)) == 3
    rows = db.session.execute(select(OperatorAlert).order_by(OperatorAlert.id)).scalars().all()
    assert [(row.ended_at is None, row.next_try_at) for row in rows] == [(False, None), (True, None)]


def test_a_rule_that_holds_again_after_a_moment_is_the_same_alert(here: World, app: Flask, told: Chat) -> None:
    run(0)
    delivered(10, 10)()
    assert later(1, 8) == 1
    delivered(10, 10)()
    assert later(9, 10) == 0
    assert len(told.texts) == 1


def test_a_chat_that_hangs_delays_no_other_task(here: World, app: Flask, told: Chat) -> None:
    told.hangs = threading.Event()
    run(0)
    delivered(10, 10)()
    with time_machine.travel(clock.now() + MINUTE, tick=True):
        began = time.monotonic()
        assert jobs.tick()["alerts"] == 1
        assert time.monotonic() - began < messages.SECONDS
    assert len(subjects(here)) == 1  # by another task
    eventually(lambda: told.tried == 1)
    told.hangs.set()
    messages.wait()


def test_a_chat_that_refuses_is_told_later(here: World, app: Flask, told: Chat) -> None:
    told.status = 500
    run(0)
    delivered(10, 10)()
    later(1, 3)
    assert (told.tried, told.texts) == (1, [])
    told.status = 200
    later(4, 8)
    assert (told.tried, len(told.texts)) == (2, 1)


def test_a_chat_that_never_answers_is_given_up_after_a_day(here: World, app: Flask, told: Chat) -> None:
    told.status = 500
    run(0)
    delivered(10, 10)()
    run(1)
    run(60 * 25)
    assert run(60 * 25 + 6) == 1  # its end
    run(60 * 51)
    tried = told.tried
    assert run(60 * 52) == 0
    assert told.tried == tried


@pytest.mark.both_databases
def test_of_several_hosts_one_tells(app: Flask, told: Chat) -> None:
    now = clock.now()
    assert [watch.begin("webhook failures", "words", now) for _ in range(3)] == [1, 0, 0]
    assert [len(watch._due(now)) for _ in range(2)] == [1, 0]
    assert [watch.end("webhook failures", now) for _ in range(3)] == [1, 0, 0]


def test_of_several_processes_of_a_host_one_looks(app: Flask, told: Chat) -> None:
    with memory.of_host() as first:
        assert first is not None
        assert watch.run() == 0
        assert first.samples == []
    assert watch.run() == 0
    with memory.of_host() as later_on:
        assert later_on is not None
        assert len(later_on.samples) == 1


def test_a_broken_file_is_begun_anew(here: World, app: Flask, told: Chat) -> None:
    file = here.app.extensions["settings"].instance_path / "alerts.json"
    for text in ("{", "[]", '{"samples": [[1]]}', '{"other": 1, "samples": []}'):
        file.write_text(text)
        assert watch.run() == 0
        assert len(json.loads(file.read_text())["samples"]) == 1


def test_counters_that_begin_again_at_nothing_are_no_decrease() -> None:
    known, now = memory.Memory(), clock.now()
    for minute, value in enumerate((10, 12, 3, 4)):
        known.add(now + minute * MINUTE, {"calls": float(value)})
    assert known.increase(now + 3 * MINUTE, 15) == {"calls": 2 + 3 + 1}


def test_workers_that_begin_again_leave_the_count_of_the_web_as_it_is() -> None:
    known, now = memory.Memory(), clock.now()
    known.add(now, {"web:calls": 5000.0, "worker:calls": 70.0})
    known.add(now + MINUTE, {"web:calls": 5001.0, "worker:calls": 2.0})
    assert known.increase(now + MINUTE, 5) == {"calls": 3}


def test_the_address_of_the_chat_is_stored_and_logged_nowhere(
    here: World, app: Flask, told: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    told.status = 404
    run(0)
    delivered(10, 10)()
    run(1)
    db.session.commit()
    said = caplog.text + everything_stored(here)
    said += (here.app.extensions["settings"].instance_path / "alerts.json").read_text()
    assert "alert_not_sent" in said
    assert SECRET_PATH not in said


# Runs `flask tick`, and again when the database has been away for a minute, twice.
TICKS = """
import json, pathlib, sys
from wsgi import app
settings = app.extensions["settings"]
app.extensions["settings"] = settings.model_copy(update={"alerts_to": tuple(sys.argv[1:])})
file = settings.instance_path / "alerts.json"
for seconds in (0, 60, 60):
    if seconds:
        known = json.loads(file.read_text())
        file.write_text(json.dumps(known | {"down_since": known["down_since"] - seconds}))
    app.test_cli_runner().invoke(args=["tick"])
    print(file.read_text(), flush=True)
"""


def test_without_a_database_the_command_tells_directly_once_and_its_end_by_the_database(
    here: World, app: Flask, told: Chat
) -> None:
    settings = here.app.extensions["settings"]
    closed = f"postgresql://portal:hunter2@127.0.0.1:{servers.free_port()}/portal"
    given = environ(settings.instance_path, closed, settings.port, here.sandbox)
    command = [sys.executable, "-c", TICKS, *settings.alerts_to]
    done = subprocess.run(command, cwd=servers.ROOT, env=os.environ | given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "database_unreachable" in done.stderr
    assert not [word for word in ("hunter2", SECRET_PATH) if word in done.stderr + done.stdout]
    whom = [len(json.loads(line)["down_told"]) for line in done.stdout.splitlines()]
    assert whom == [0, 2, 2]  # at first it may be a restart
    assert [text.split(". ")[0] for text in told.texts] == [f"[critical] 127.0.0.1:{settings.port}: database"]
    assert ["Critical: database" in one for one in subjects(here)] == [True]
    assert [run(minutes) for minutes in (1, 2)] == [1, 0]
    assert [text.split("]")[0] for text in told.texts] == ["[critical", "[ended"]
    assert ["Ended: database" in one for one in subjects(here)] == [False, True]
    row = db.session.execute(select(OperatorAlert)).scalar_one()
    assert (row.name, row.next_try_at, row.ended_at is None) == ("database", None, False)


def test_nobody_is_told_where_the_setting_is_empty(here: World, app: Flask, chat: Chat) -> None:
    delivered(10, 10)()
    assert watch.run() == 0
    assert db.session.execute(select(OperatorAlert)).first() is None


def test_the_rules_are_those_of_prometheus() -> None:
    """The names differ, and so do the means; the limits are the same."""
    text = (servers.ROOT / "docs" / "alerts.yml").read_text()
    for one in rules.RATIOS:
        if one.name != "webhook latency":
            assert f"> {one.limit} *" in text
            assert f"[{one.minutes}m]" in text
    assert f">= {rules.RATIO_NEEDS}" in text
    assert f">= {rules.MANY_CANCELED}" in text
    assert f">= {rules.TIMES_THE_MEAN} *" in text
