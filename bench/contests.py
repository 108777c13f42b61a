"""The comparisons: the portal against a minimal version, and optionally against a peer, on one database."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import peers, race
from bench.databases import Fresh
from bench.race import Entry
from bench.table import Line, milliseconds, ratios

Costs = dict[str, list[float]]


@dataclass(frozen=True)
class Contest:
    """One task. `task` is its function in bench.portal and `peer_module`; `floor`, or that, in bench.floors."""

    name: str
    task: str
    goals: dict[str, float]  # by database
    floor: str = ""
    peer: str = ""
    peer_module: str = ""
    peer_goal: float = 0


EVERYWHERE = ("SQLite", "PostgreSQL")
CONTESTS = (
    Contest("P1 webhook, acknowledged and stored", "acknowledged", dict.fromkeys(EVERYWHERE, 1.6), "webhook"),
    Contest(
        "P2 webhook, effects done",
        "webhook",
        {"SQLite": 2.5, "PostgreSQL": 3.2},
        peer="flask-headless-payments",
        peer_module="bench.peers.headless",
        peer_goal=0.4,
    ),
    Contest(
        "P4 history page of 50 rows, signed in",
        "page",
        dict.fromkeys(EVERYWHERE, 1.8),
        peer="Django",
        peer_module="bench.peers.pages",
        peer_goal=0.4,
    ),
    Contest("P5 GET /api/v1/entitlements", "entitlements", dict.fromkeys(EVERYWHERE, 1.3)),
)


def lines(contest: Contest, kind: str, fresh: Fresh, folder: Path, *, with_peers: bool) -> Iterator[Line]:
    """The contest's lines: against the floor, then against the peer."""
    trouble, costs = "", Costs()
    try:
        costs = race.run(_entries(contest, fresh, folder / contest.task, with_peers=with_peers))
    except RuntimeError as error:
        trouble = str(error)
    yield _line(contest, "hand floor", contest.goals[kind], kind, costs, "floor", trouble)
    if contest.peer and with_peers:
        yield _line(contest, contest.peer, contest.peer_goal, kind, costs, "peer", trouble)
    elif contest.peer:
        name = f"{contest.name} / {contest.peer} · {kind}"
        yield Line(name, contest.peer_goal, skipped="peer not measured")


def _entries(contest: Contest, fresh: Fresh, folder: Path, *, with_peers: bool) -> dict[str, Entry]:
    modules = {"ours": "bench.portal", "floor": "bench.floors"}
    if contest.peer and with_peers:
        modules["peer"] = contest.peer_module
    return {
        name: Entry(
            f"{module}:{contest.floor or contest.task if name == 'floor' else contest.task}",
            fresh(folder / name),
            folder / name,
            peers.PYTHON if name == "peer" else race.PYTHON,
        )
        for name, module in modules.items()
    }


def _line(contest: Contest, rival: str, goal: float, kind: str, costs: Costs, key: str, trouble: str) -> Line:
    ours, theirs = costs.get("ours", []), costs.get(key, [])
    return Line(
        f"{contest.name} / {rival} · {kind}",
        goal,
        ours=milliseconds(ours),
        ratios=ratios(ours, theirs),
        trouble=trouble,
        **{key: milliseconds(theirs)},
    )
