"""Shared code of the `flask` commands."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask.cli import AppGroup

from portal import audit
from portal.enums import Mode
from portal.errors import PortalError

LONGEST_REASON = 255


class Commands(AppGroup):
    """A group whose commands print a PortalError's message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PortalError as error:
            raise click.ClickException(error.for_operator) from None


def audited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--reason` to a command that changes credits or access, and record it in the audit log.

    The entries name the operating system account that ran it. Without the option, the reason is the command's
    name. Place it below the other options.
    """
    return _with_reason(command, is_required=False)


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same for a command that ends a person's access or role: it is refused without a reason."""
    return _with_reason(command, is_required=True)


def _with_reason(command: Callable[..., Any], *, is_required: bool) -> Callable[..., Any]:
    @wraps(command)
    def recorded(*args: Any, reason: str, **kwargs: Any) -> Any:
        if len(reason) > LONGEST_REASON:
            raise click.BadParameter(f"Keep it to {LONGEST_REASON} characters.", param_hint="--reason")
        if is_required and not reason.strip():
            raise click.BadParameter("Say why; it is written to the audit log.", param_hint="--reason")
        path = click.get_current_context().command_path.split(" ", 1)[-1]
        with audit.by_command(reason.strip() or f"flask {path}"):
            return command(*args, **kwargs)

    words = "The reason, for the audit log. No personal data."
    asks: dict[str, Any] = {"required": True} if is_required else {"default": ""}
    return click.option("--reason", help=words, **asks)(recorded)


class ModeChoice(click.Choice[str]):
    """The type of an option whose value is a mode."""

    def __init__(self) -> None:
        super().__init__([mode.value for mode in Mode])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mode:
        return Mode(super().convert(value, param, ctx))


MODE = ModeChoice()
