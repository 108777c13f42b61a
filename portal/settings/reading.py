"""Reading the settings: the environment first, then `.env`, then what the first start wrote for the sandbox."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


class Given(NamedTuple):
    """A value and the variable that it stood in."""

    name: str
    value: str


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """The settings of this process. Raises BadSettings, naming every bad value."""
    given = _given(os.environ if environ is None else environ, env_file)
    values = {field: one.value for field, one in given.items()}
    sandbox = not any(name in values for name in STRIPE_KEYS)
    settings, faults = _checked(_completed(values, sandbox) | {"uses_sandbox": sandbox})
    # What stands on a bad value is judged once that is mended; a bad value is told once.
    faults = dict(production.faults(settings)) | faults
    if faults:
        found = [field for field in FIELDS if field in faults]
        names = {field: given[field].name if field in given else str(FIELDS[field][0]) for field in found}
        raise BadSettings("\n".join(_line(f, names[f], faults[f], settings.is_production) for f in found))
    return settings


def _given(environ: Mapping[str, str], env_file: Path | None) -> dict[str, Given]:
    """What the operator set, by field. The environment wins over the file, a setting's name over its alias."""
    found = _fields(_file(env_file)) if env_file else {}
    return found | _fields(environ)


def _fields(variables: Mapping[str, str | None]) -> dict[str, Given]:
    """Values by field, without the spaces and newlines around them; an empty one counts as not set."""
    stripped = {name: (value or "").strip() for name, value in variables.items()}
    found = {}
    for field, names in FIELDS.items():
        name = next((str(name) for name in names if stripped.get(str(name))), None)
        if name:
            found[field] = Given(name, stripped[name])
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
    return {name: generated[name].value for name in names} | given


def _checked(found: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """The settings, and what is wrong by field; a bad value is left out, so that the others can be judged."""
    try:
        return Settings(**found), {}
    except ValidationError as error:
        faults = dict(_faults(error))
    rest = {field: value for field, value in found.items() if field not in faults}
    return Settings(**rest), faults


def _faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    for fault in error.errors(include_url=False, include_input=False):
        if fault["type"] == "default_factory_not_called":
            continue  # a default that hangs on a bad value is no fault of its own
        ours = fault["type"] == "value_error"
        yield str(fault["loc"][0]), str(fault["ctx"]["error"]) if ours else "does not have the right form"


def _line(field: str, name: str, problem: str, in_production: bool) -> str:
    """The variable, what is wrong with it, what it takes and an example."""
    words: Any = Settings.model_fields[field].json_schema_extra
    example = words["in_production" if in_production else "example"]
    example = example() if callable(example) else example
    return f"{name} {problem}: it takes {words['shape']}, for example {name}={example}"
