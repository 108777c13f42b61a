"""Generate the tables of docs/ from the code: `make docs`. With --check: exit with 1 if one is outdated."""

import inspect
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from portal import create_app  # noqa: E402
from portal.api.calls import Call  # noqa: E402
from portal.api.openapi import document  # noqa: E402
from portal.doctor import checks as doctor_checks  # noqa: E402
from portal.sandbox.spec import table as sandbox_table  # noqa: E402
from portal.settings import load, production  # noqa: E402
from portal.settings.fields import DEFAULT_SECRET  # noqa: E402
from portal.settings.model import CATALOGUE, Settings, names_of  # noqa: E402
from portal.settings.reading import FIELDS  # noqa: E402
from portal.webhooks.handlers import HANDLERS  # noqa: E402

APP = create_app(load({}, None))
VALUES = {"integer": "N", "integer range": "N", "datetime": "DATE"}
OTHERS = ("db", "limiter", "routes", "run", "shell")
BEGIN, END = "<!-- made by make docs -->\n", "<!-- end -->\n"


def between_markers(page: str, table: str) -> str:
    """Return the page with this table between its markers."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


def events() -> Iterator[str]:
    """Yield a row for each group of events with the same handlers."""
    yield "| event | what the portal does |\n| --- | --- |\n"
    for handlers, entries in groupby(HANDLERS.items(), key=lambda entry: entry[1]):
        kinds = ", ".join(f"`{kind}`" for kind, _ in entries)
        yield f"| {kinds} | {' '.join(handler.does for handler in handlers)} |\n"


def settings() -> Iterator[str]:
    """Yield a table for each class of settings."""
    required = {field for field, _ in production.faults(Settings(environment="production"))}
    for kind in reversed(Settings.__mro__):
        fields = [name for name in inspect.get_annotations(kind) if name in FIELDS]
        if fields:
            yield f"\n## {(kind.__doc__ or '').rstrip('.')}\n\n"
            yield "| name | default | what it does | takes |\n| --- | --- | --- | --- |\n"
            yield from (setting(name, name in required) for name in fields)


def setting(name: str, is_required: bool) -> str:
    """Return the row of one setting."""
    field = Settings.model_fields[name]
    words: Any = field.json_schema_extra
    variable, *aliases = (str(one) for one in names_of(name).choices)
    does = words["does"] + (" **Production requires it.**" if is_required else "")
    if aliases:
        does += " Also read as " + ", ".join(f"`{alias}`" for alias in aliases) + "."
    takes = words["shape"].replace("|", "or")
    return f"| `{variable}` | {default(field.default)} | {does} | {takes} |\n"


def default(value: object) -> str:
    """Return a default as `.env` has it; a dash if there is none, or if it follows from other settings."""
    if value in (None, ()) or value is PydanticUndefined or value == DEFAULT_SECRET:
        return "–"
    if value == CATALOGUE:
        return "`portal/catalogue.toml`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> Iterator[str]:
    """Yield a row for each `flask` command of ours; the others are Flask's and its extensions'."""
    yield "| command | what it does |\n| --- | --- |\n"
    for name, command in sorted(APP.cli.commands.items()):
        if name not in OTHERS:
            yield from command_rows(f"flask {name}", command)


def command_rows(name: str, command: click.Command) -> Iterator[str]:
    """Yield a command with its arguments and options, or those of a group."""
    if isinstance(command, click.Group):
        for inner, one in sorted(command.commands.items()):
            yield from command_rows(f"{name} {inner}", one)
        return
    parts = [part for parameter in command.params if (part := usage(parameter))]
    takes = " ".join([name, *parts]).replace("|", "\\|")
    does = " ".join((command.help or "").split())
    notes = [
        f"`{option.opts[0]}`: {option.help.rstrip('.')}."
        for option in command.params
        if isinstance(option, click.Option) and option.help
    ]
    yield f"| `{takes}` | {' '.join([does, *notes])} |\n"


def usage(parameter: click.Parameter) -> str:
    """Return `EMAIL`, `[--mode live|test]`, `--tier TEXT`."""
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.Context(click.Command(""))).replace(" ", "")
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return ""
    kind = parameter.type
    choice = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else VALUES.get(kind.name, "")
    choice = choice or str(parameter.name).rpartition("_")[2].upper()
    words = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {choice}"
    return words if parameter.required else f"[{words}]"


def calls() -> Iterator[str]:
    """Yield a row for each JSON call for programs; Stripe's deliveries and probes are documented elsewhere."""
    yield "| call | key | what it does |\n| --- | --- | --- |\n"
    for one in document.operations(APP):
        if "signature" in one.call.by or one.path.endswith(("/success/state", "/healthz", "/readyz")):
            continue
        summary = one.words[0]
        yield f"| `{one.method} {one.path}` | {proof(one.call)} | {summary} |\n"


def proof(call: Call) -> str:
    """Return who may make a call, and the scope that a key needs for it."""
    if not call.by:
        return "none"
    if "session" in call.by:
        return "an admin's access token"
    found = [f"`{call.scope}`"] if "bearer" in call.by else []
    found += [f"operator key, `{call.operator_scope}`"] if "operator" in call.by else []
    return "; or ".join(found)


def checks() -> Iterator[str]:
    """Yield a row for each check of `flask doctor`."""
    yield "| check | what it looks at | if it fails | what mends it |\n| --- | --- | --- | --- |\n"
    for check in doctor_checks.ALL:
        looks = " ".join((check.look.__doc__ or "").split())
        yield f"| {check.name} | {looks} | {check.cost} | {check.remedy} |\n"


PAGES: dict[str, Callable[[str], str]] = {
    "api.md": lambda page: between_markers(page, "".join(calls())),
    "commands.md": lambda page: between_markers(page, "".join(commands())),
    "sandbox.md": sandbox_table.written,
    "settings.md": lambda page: between_markers(page, "".join(settings())),
    "troubleshooting.md": lambda page: between_markers(page, "".join(checks())),
    "webhooks.md": lambda page: between_markers(page, "".join(events())),
}


def main(check: bool) -> int:
    """Write every page, or only compare it. Returns the exit status."""
    stale = []
    for name, written in PAGES.items():
        path = ROOT / "docs" / name
        before = path.read_text(encoding="utf-8")
        if written(before) != before:
            stale.append(f"docs/{name}")
            if not check:
                path.write_text(written(before), encoding="utf-8")
    if check and stale:
        print(f"Not up to date: {', '.join(stale)}. Run `make docs`.")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
