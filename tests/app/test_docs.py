"""The documents match the code."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from datetime import timedelta
from pathlib import Path

import click
import pytest
import requests
from flask import Flask

from portal import clock
from portal.catalogue.schema import PlanTable
from portal.credits import grants
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.webhooks.handlers import HANDLERS
from portal.webhooks.views import LIVE_PATHS, SECRET_NAMES, TEST_PATH
from tests.conftest import PASSWORD, Person
from tests.support.operators import operator_key
from tests.support.usage import agree
from tests.support.world import World

ROOT = Path(__file__).parents[2]


SAYS = re.compile(r"`([a-z]+(?:_[a-z]+)+)`|\"([^\"]+)\"")  # an event of the log, or words of a page or an answer
NOT_OURS = ("past_due", "session_id", "request_id", "Refused to send form data")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


ELSEWHERE = re.compile(
    r"\b(seed|money rule|rule|issue) [A-Z]?\d", re.IGNORECASE
)  # numbers of documents that are not here


def test_nothing_refers_to_a_document_that_is_not_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.html", "*.toml", "*.css", "*.js", ".env.example", "Makefile"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = [ROOT / name for name in listed.stdout.split()]
    found = [
        (path.name, hit[0]) for path in paths if path.is_file() for hit in ELSEWHERE.finditer(path.read_text())
    ]
    assert found == []


def test_every_link_between_the_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("[A-Z]*.md"), *(ROOT / "docs").glob("*.md")]
    missing = []
    for path in pages:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text()):
            file, _, anchor = target.partition("#")
            goal = (path.parent / file) if file else path
            if not goal.exists() or (anchor and anchor not in anchors(goal)):
                missing.append(f"{path.name}: {target}")
    assert missing == []


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_tables_made_from_the_code_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ".ci/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_handled_event_and_every_address_is_in_the_webhook_page() -> None:
    words = page("webhooks.md")
    wanted = [*HANDLERS, *LIVE_PATHS, TEST_PATH, *SECRET_NAMES.values()]
    assert [name for name in wanted if f"`{name}`" not in words] == []


def test_the_events_stand_in_no_second_list() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    for path in pages:
        found = {kind for kind in HANDLERS if re.search(rf"`{re.escape(kind)}`", path.read_text())}
        assert path.name == "webhooks.md" or len(found) < len(HANDLERS) / 4, path


def test_what_the_troubleshooting_page_quotes_is_said_by_the_code() -> None:
    sources = [path for kind in ("portal/**/*.py", "templates/**/*.html") for path in ROOT.glob(kind)]
    code = " ".join(re.sub(r'"\s+f?"', "", path.read_text()) for path in sources)
    first_cells = re.findall(r"^\| ([^|]+) \|", page("troubleshooting.md"), re.M)
    said = [name or words for cell in first_cells for name, words in SAYS.findall(cell)]
    assert len(said) > 40
    assert [words for words in said if words not in code and words not in NOT_OURS] == []


def test_going_live_in_short_has_the_commands_of_the_long_way() -> None:
    short = re.findall(r"^    (flask [^#\n]+?)(?:  +#.*)?$", (ROOT / "README.md").read_text(), re.M)
    assert len(short) == 6
    assert [command for command in short if f"    {command}" not in page("going-live.md")] == []


def test_every_file_that_is_named_to_contributors_exists() -> None:
    named = re.findall(r"`((?:portal|tests|templates|docs)/[\w./]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 40
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size < 10_000
    assert all(picture.stat().st_size < 60_000 for picture in (ROOT / "docs" / "images").iterdir())


def test_every_command_of_the_documents_exists(app: Flask) -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    missing = []
    for path in pages:
        for words in re.findall(r"flask (?:--app wsgi )?([a-z][a-z -]*[a-z])", path.read_text()):
            command: click.Command | None = app.cli
            for word in words.split():
                if isinstance(command, click.Group):
                    command = command.commands.get(word)
            if command is None:
                missing.append(f"{path.name}: flask {words}")
    assert missing == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there, so the documents' calls were not run")
@pytest.mark.parametrize("name", ["api.md", "usage.md", "admin.md"])
def test_the_calls_of_a_page_run_as_written(here: World, alice: Person, ada: Person, name: str) -> None:
    with here.app.app_context():
        customer = stripe_customers.of(alice.user)
        _, key = api_keys.mint(customer, "Docs")
        agree(customer.id)
        grants.give(customer.id, 1000, clock.now() + timedelta(days=1), "docs")
        number = customer.id
        db.session.commit()
        db.session.remove()
    token = requests.post(
        f"{here.base}/api/auth/token", json={"email": ada.email, "password": PASSWORD}, timeout=30
    ).json()["access_token"]
    environ = {
        "PATH": os.environ["PATH"],
        "PORTAL": here.base,
        "KEY": key,
        "OPERATOR_KEY": operator_key(here, "usage:report", "usage:void"),
        "TOKEN": token,
        "EMAIL": alice.email,
        "PASSWORD": PASSWORD,
    }
    calls = re.findall(r"^    (curl (?:.*\\\n)*.*)$", page(name), re.M)
    assert calls
    for call in calls:
        command = call.replace("curl", "curl --silent --show-error --fail-with-body", 1)
        command = command.replace('"42"', f'"{number}"').replace("bob@example.com", alice.email)
        done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (call, done.stdout)
        assert json.loads(done.stdout)


def test_the_plan_page_describes_every_field_of_a_plan() -> None:
    words = page("plans.md")
    fields = [*PlanTable.model_fields, "currency", "debit_upgrades"]
    assert [
        name for name in fields if not re.search(rf"`{name}`|^ +{name} = |plans\.pro\.{name}", words, re.M)
    ] == []


def test_the_example_of_a_plan_is_one() -> None:
    example = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page("plans.md"), re.M)[0]
    plan = tomllib.loads(textwrap.dedent(example))["plans"]["pro"]
    PlanTable.model_validate(plan, context={"currency": "usd"})
