"""Whether the portal lives, and whether it can serve."""

from typing import Annotated, Literal

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, current_app
from pydantic import Field

from portal.answers import Answer, answers
from portal.errors import PortalError
from portal.extensions import db, limiter
from portal.version import __version__

blueprint = Blueprint("health", __name__)


class NotReady(PortalError):
    """Up, but not able to serve."""

    status = 503
    code = "not_ready"
    title = "Not ready"


class Alive(Answer):
    """It answers."""

    status: Literal["ok"] = "ok"
    version: Annotated[str, Field(description="The portal's version.")] = __version__


class Ready(Alive):
    """It can serve."""

    stands_at: Annotated[str, Field(serialization_alias="schema", description="The newest migration applied.")]


@blueprint.get("/healthz")
@limiter.exempt
@answers(Alive)
def healthz() -> Alive:
    """The process answers; nothing else is asked."""
    return Alive()


@blueprint.get("/readyz")
@limiter.exempt
@answers(Ready, NotReady)
def readyz() -> Ready:
    """The database answers and its schema is this code's."""
    stands_at = MigrationContext.configure(db.session.connection()).get_current_heads()
    if set(stands_at) != set(heads()):
        raise NotReady("The database schema is not this version's: run `flask db upgrade`.")
    return Ready(stands_at=", ".join(stands_at))


def heads() -> list[str]:
    """The newest migrations that this code brings."""
    directory = current_app.extensions["migrate"].directory
    return list(ScriptDirectory(directory).get_heads())


def init_app(app: Flask) -> None:
    """Register the probes."""
    app.register_blueprint(blueprint)
