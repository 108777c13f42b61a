"""Liveness and readiness of the portal."""

from typing import Annotated, Literal

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, current_app
from pydantic import Field

from portal.api.responses import Answer, answers
from portal.errors import PortalError
from portal.extensions import db, limiter
from portal.settings.version import __version__

blueprint = Blueprint("health", __name__)


class NotReady(PortalError):
    """Running, but not able to serve requests."""

    status = 503
    code = "not_ready"
    title = "Not ready"


class Alive(Answer):
    """The process responds."""

    status: Literal["ok"] = "ok"
    version: Annotated[str, Field(description="The portal's version.")] = __version__


class Ready(Alive):
    """The portal can serve requests."""

    stands_at: Annotated[str, Field(serialization_alias="schema", description="The newest migration applied.")]


@blueprint.get("/healthz")
@limiter.exempt
@answers(Alive)
def healthz() -> Alive:
    """Return 200 while the process responds, without any other check."""
    return Alive()


@blueprint.get("/readyz")
@limiter.exempt
@answers(Ready, NotReady)
def readyz() -> Ready:
    """Return 200 while the database responds with the schema that this code needs."""
    return Ready(stands_at=", ".join(check_schema()))


def check_schema() -> tuple[str, ...]:
    """Return the newest migrations that the database has. Raises NotReady if this code has others."""
    stands_at = MigrationContext.configure(db.session.connection()).get_current_heads()
    if set(stands_at) != set(heads()):
        raise NotReady("The database schema is not this version's: run `flask db upgrade`.")
    return stands_at


def heads() -> list[str]:
    """Return the newest migrations of this code."""
    directory = current_app.extensions["migrate"].directory
    return list(ScriptDirectory(directory).get_heads())


def init_app(app: Flask) -> None:
    """Register the probes."""
    app.register_blueprint(blueprint)
