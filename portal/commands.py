"""What the groups of `flask` commands share."""

import click
from flask.cli import AppGroup

from portal.errors import PortalError


class Commands(AppGroup):
    """Commands that answer a PortalError with its words instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PortalError as error:
            raise click.ClickException(error.detail) from None
