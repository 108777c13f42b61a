"""Reading the settings: the environment first, then `.env`, then what the first start wrote for the sandbox."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError

from portal.settings import production
from portal.settings.model import Settings, names_of

SANDBOX_ENV = "sandbox.env"
STRIPE_KEYS = ("stripe_secret_key", "stripe_test_secret_key")
HOUSE_SECRETS = frozenset(("secret_key", "jwt_secret_key", "encryption_key"))
FIELDS = {name: names_of(name).choices for name in Settings.model_fields if name != "uses_sandbox"}


class BadSettings(Exception):
    """Settings that the portal does not start with; its text has a line for each, and never a secret."""


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """The settings of this process. Raises BadSettings, naming every bad value."""
    given = _given(os.environ if environ is None else environ, env_file)
    sandbox = not any(name in given for name in STRIPE_KEYS)
    settings = _checked(_completed(given, sandbox) | {"uses_sandbox": sandbox})
    if found := [_line(field, problem) for field, problem in production.faults(settings)]:
        raise BadSettings("\n".join(found))
    return settings


def _given(environ: Mapping[str, str], env_file: Path | None) -> dict[str, Any]:
    """What the operator set, by field. The environment wins over the file, a setting's name over its alias."""
    found = _fields(_file(env_file)) if env_file else {}
    return found | _fields(environ)


def _fields(variables: Mapping[str, str | None]) -> dict[str, Any]:
    """Values by field, without the spaces and newlines around them; an empty one counts as not set."""
    stripped = {name: (value or "").strip() for name, value in variables.items()}
    found = {}
    for field, names in FIELDS.items():
        value = next((stripped[str(name)] for name in names if stripped.get(str(name))), None)
        if value:
            found[field] = value
    return found


def _file(path: Path) -> dict[str, str | None]:
    # Not interpolated: a password may hold a dollar sign.
    return dotenv_values(path, interpolate=False) if path.is_file() else {}


def _completed(given: dict[str, Any], sandbox: bool) -> dict[str, Any]:
    """The settings with what the first start generated, in development alone."""
    if given.get("environment") == "production":
        return given
    generated = _fields(_file(Path(given.get("instance_path", "instance")).expanduser() / SANDBOX_ENV))
    names = generated.keys() if sandbox else HOUSE_SECRETS & generated.keys()
    return {name: generated[name] for name in names} | given


def _checked(found: dict[str, Any]) -> Settings:
    try:
        return Settings(**found)
    except ValidationError as error:
        raise BadSettings("\n".join(_lines(error))) from None


def _lines(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False):
        if fault["type"] == "default_factory_not_called":
            continue  # a default that hangs on a bad value is no fault of its own
        ours = fault["type"] == "value_error"
        problem = str(fault["ctx"]["error"]) if ours else "does not have the right form"
        yield _line(str(fault["loc"][0]), problem)


def _line(field: str, problem: str) -> str:
    """The variable, what is wrong with it, what it takes and an example."""
    name = FIELDS[field][0]
    words: Any = Settings.model_fields[field].json_schema_extra
    return f"{name} {problem}: it takes {words['shape']}, for example {name}={words['example']}"
