"""Lighthouse, another judge than axe: accessibility and best practices of the pages that people pay through."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.conftest import Person, leave_out
from tests.support import npm

pytestmark = pytest.mark.long

PACKAGE = "lighthouse@12.8.2"
PAGES = ("/pricing", "/billing", "/credits", "/history")
LEAST = 0.95
WHOLE = chromium.PROGRAMS[1:]  # Lighthouse asks for more than the headless shell has


@pytest.fixture(scope="module")
def lighthouse() -> Path:
    """The program, judging in the system's Chromium."""
    if chromium.program(WHOLE) is None:
        leave_out("No Chromium was found, so Lighthouse had nothing to look with")
    program = npm.program(PACKAGE, "lighthouse")
    if program is None:
        leave_out("npm did not give Lighthouse, so the pages were not judged by it")
    return program


@pytest.mark.timeout(300)  # npm may have to fetch it first
def test_the_pages_people_pay_through_are_judged_well(lighthouse: Path, bob: Person, tmp_path: Path) -> None:
    headers = tmp_path / "headers.json"
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in bob.browser.http.cookies)
    headers.write_text(json.dumps({"Cookie": cookies}))
    scores = {page: judge(lighthouse, bob.browser.here.base + page, headers) for page in PAGES}
    low = {page: found for page, found in scores.items() if min(found.values()) < LEAST}
    assert low == {}


def judge(program: Path, url: str, headers: Path) -> dict[str, float]:
    """The scores, 0 to 1, of one page by category."""
    flags = " ".join(["--headless=new", *chromium.ARGUMENTS])
    command = [str(program), url, "--quiet", "--output=json", f"--extra-headers={headers}"]
    command += ["--only-categories=accessibility,best-practices", f"--chrome-flags={flags}"]
    environ = {**os.environ, "CHROME_PATH": chromium.program(WHOLE) or ""}
    done = subprocess.run(command, env=environ, capture_output=True, timeout=90, check=True)
    report = json.loads(done.stdout)
    assert report["finalDisplayedUrl"] == url  # and not the sign-in page
    return {name: category["score"] for name, category in report["categories"].items()}
