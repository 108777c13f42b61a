"""The benchmark measures work that was really done, and its floors do it too."""

from pathlib import Path

import pytest

from bench import databases, pages, race, requests
from bench.contestant import Contestant
from bench.race import Entry
from bench.table import Line


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPEATS", "SLICES", "WARM_UP"):
        monkeypatch.setattr(race, name, 1)


def entry(where: str, folder: Path) -> Entry:
    folder.mkdir()
    return Entry(where, f"sqlite:///{folder}/bench.db", folder)


@pytest.mark.long
@pytest.mark.parametrize("task", ["webhook", "page", "entitlements"])
def test_the_portal_and_the_floor_take_turns_and_lose_nothing(task: str, tmp_path: Path, short: None) -> None:
    entries = {module: entry(f"bench.{module}:{task}", tmp_path / module) for module in ("portal", "floors")}
    costs = race.run(entries)
    assert all(len(costs[module]) == 1 and costs[module][0] > 0 for module in entries)


@pytest.mark.long
def test_every_page_is_visited_and_stays_within_its_bounds(tmp_path: Path) -> None:
    found = list(pages.lines("SQLite", databases.sqlite, tmp_path))
    assert len(found) == 8, found
    missed = [line for line in found if line.verdict != "PASS"]
    assert all("pages: queries · " in line.name for line in missed), found
    assert all(max(line.ratios) <= (16 if "admin" in line.name else 9) for line in missed), found


def forgetful(url: str, folder: Path) -> Contestant:
    """Return 200 and do nothing."""

    def app(environ, start_response) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    def check(calls: int) -> None:
        assert calls == 0, "an event was lost"

    return Contestant(app, lambda number: requests.page("/"), check)


def test_who_loses_an_effect_is_not_measured(tmp_path: Path, short: None) -> None:
    with pytest.raises(RuntimeError, match="an event was lost"):
        race.run({"ours": entry("tests.app.test_bench:forgetful", tmp_path / "ours")})


def test_a_goal_is_missed_only_where_the_best_repeat_misses_it() -> None:
    assert Line("P", 2.0, ratios=[1.9, 2.4, 3.1]).verdict == "PASS"
    assert Line("P", 2.0, ratios=[2.1, 2.4, 3.1]).verdict == "FAIL"
    assert Line("P", 2.0, trouble="it died").verdict == "FAIL"
    assert Line("P", 2.0, skipped="peer not measured").verdict == "peer not measured"


def test_the_floors_are_short_enough_to_be_read_at_once() -> None:
    assert len((race.ROOT / "bench" / "floors.py").read_text().splitlines()) < 150
