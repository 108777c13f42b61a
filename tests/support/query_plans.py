"""What a database would read for the statements of a verb, by its own plans."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from portal.extensions import db

# Indexes with a condition that most customers fulfill: what goes on, not what is due.
GROWING = {
    "ix_credit_grants_due",
    "ix_credit_grants_open",
    "ix_given_plans_due",
    "ix_plan_periods_due",
    "ix_stripe_events_payload",
    "ix_subscriptions_synced",
    "uq_given_plans_open",
    "uq_usage_agreements_running",
    "uq_users_email",
}


@dataclass(frozen=True)
class Asked:
    """A statement as the driver received it."""

    statement: str
    parameters: Any


def asked_by(verb: Callable[[], Any]) -> list[Asked]:
    """Run a function, and return the statements that read or delete."""
    asked: list[Asked] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH", "DELETE")):
            asked.append(Asked(statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        verb()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return asked


def tables(asked: Asked) -> set[str]:
    """The tables that a statement reads."""
    return set(re.findall(r"\b(?:FROM|JOIN) (\w+)", asked.statement))


def read_whole(asked: Asked) -> set[str]:
    """Return the tables that a statement reads in full: without an index, or along a whole index.

    All rows of a mode count as all, and so do rows with an id above some other, unless the index has a condition.
    """
    if db.engine.dialect.name == "postgresql":
        return set(_on_postgresql(asked))
    return set(_on_sqlite(asked))


def _on_sqlite(asked: Asked) -> Iterator[str]:
    run = db.session.connection().exec_driver_sql
    partial = set(run("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'").scalars())
    partial -= GROWING
    tables = set(run("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    for step in run(f"EXPLAIN QUERY PLAN {asked.statement}", asked.parameters).all():
        scanned = re.match(r"SCAN (\w+?)(?:_\d+)?(?: USING (?:COVERING )?INDEX (\w+))?$", step[3])
        searched = re.match(
            r"SEARCH (\w+?)(?:_\d+)? USING (?:(?:COVERING )?INDEX (\w+)|INTEGER PRIMARY KEY) "
            r"\((?:mode=|(?:\w+_)?id>|rowid>)\?\)$",
            step[3],
        )
        for found in filter(None, (scanned, searched)):
            if found[1] in tables and found[2] not in partial:
                yield found[1]


def _on_postgresql(asked: Asked) -> Iterator[str]:
    """Yield the tables that are read in full if the only alternative are bitmap scans, which need a condition on
    an index. PostgreSQL always reads a small table in full, so each is declared large.

    Of an empty table all indexes cost the same. So one whose condition means nothing is taken away, until the
    plan uses another or none is left.
    """
    run = db.session.connection().exec_driver_sql
    run("UPDATE pg_class SET relpages = 1, reltuples = 1000000 WHERE relnamespace = 'public'::regnamespace")
    for way in ("seqscan", "indexscan", "indexonlyscan", "hashjoin", "mergejoin"):
        run(f"SET LOCAL enable_{way} = off")
    while True:
        plan = run(f"EXPLAIN (FORMAT JSON) {asked.statement}", asked.parameters).scalar_one()
        nodes = list(_nodes(plan[0]["Plan"]))
        named = [one["Index Name"] for one in nodes if _is_everything(one.get("Index Cond", ""))]
        useless = "indpred IS NULL AND indisvalid AND indexrelid = ANY(%s::text[]::regclass[])"
        if not run(f"UPDATE pg_index SET indisvalid = false WHERE {useless}", (named,)).rowcount:
            break
    db.session.rollback()
    for node in nodes:
        if node["Node Type"] == "Seq Scan" or ("Index Cond" not in node and node["Node Type"].startswith("Index")):
            yield node["Relation Name"]


def _is_everything(condition: str) -> bool:
    """Whether a condition on an index names the mode alone, or ids above some other."""
    of_a_mode = r"\(\(?(?:\w+\.)?mode\)?::text (=|\S+) [^()]*\)"
    return re.fullmatch(rf"{of_a_mode}|\((?:\w+\.)?(?:\w+_)?id > [^()]*\)", condition) is not None


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
