"""`flask doctor`, and the line that `make run` ends with."""

import json
import sys

import click
from flask.cli import with_appcontext

from portal.doctor import checks, local
from portal.doctor.check import FAIL, OK, Result, run_local

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@with_appcontext
def command(as_json: bool) -> None:
    """Check the settings, the machine, the queues and the Stripe account, and say what mends each problem.

    The exit status is 1 if a check fails; warnings do not count.
    """
    found = checks.run()
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found], indent=2))
    else:
        for one in found:
            _print(one)
    sys.exit(int(any(one.verdict == FAIL for one in found)))


def warning_line() -> str:
    """Return one line about the local checks; empty if nothing is wrong."""
    wrong = [one for one in run_local(local.CHECKS) if one.verdict != OK]
    if not wrong:
        return ""
    names = ", ".join(dict.fromkeys(one.name for one in wrong))
    return f"Something is wrong ({names}): `flask doctor` says what mends it."


def _print(one: Result) -> None:
    name = f"{one.name} ({one.mode})" if one.mode else one.name
    click.echo(f"{click.style(f'{one.verdict:<4}', fg=COLORS[one.verdict])}  {name}")
    if one.verdict != OK:
        click.echo(f"      {one.problem}\n      {one.cost}\n      -> {one.remedy}")
