"""Reading the settings: the environment first, then `.env`, then the sandbox's from the first start."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from dotenv import dotenv_values
from pydantic import ValidationError

from portal.settings import prices, production
from portal.settings.model import COMPUTED, Settings, names_of

HERE = Path(".env")
BESIDE_WSGI = Path(__file__).parents[2] / HERE
SANDBOX_ENV = "sandbox.env"
STRIPE_KEYS = ("stripe_secret_key", "stripe_test_secret_key")
HOUSE_SECRETS = frozenset(("secret_key", "jwt_secret_key", "encryption_key"))
FIELDS = {name: names_of(name).choices for name in Settings.model_fields if name not in COMPUTED}


def _is_path(annotation: Any) -> bool:
    return annotation is Path or any(map(_is_path, get_args(annotation)))


PATHS = frozenset(name for name, field in Settings.model_fields.items() if _is_path(field.annotation))


class BadSettings(Exception):
    """Settings that the portal refuses to start with. The message has a line for each, and never a secret."""


class Given(NamedTuple):
    """A value and the variable that it came from."""

    name: str
    value: str


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = HERE) -> Settings:
    """Return the settings of this process. Raises BadSettings, naming every invalid value.

    If the working directory has no `.env`, the one beside wsgi.py is read.
    """
    if env_file == HERE and not HERE.is_file():
        env_file = BESIDE_WSGI
    environ = _stripped(os.environ if environ is None else environ)
    file = _stripped(_file(env_file)) if env_file else {}
    # Within each source, a setting's name takes precedence over its alias.
    given = _located(_fields(file), env_file) | _fields(environ)
    values = {field: one.value for field, one in given.items()}
    sandbox = not any(name in values for name in STRIPE_KEYS)
    settings, faults = _checked(_completed(values, sandbox) | {"uses_sandbox": sandbox})
    named = prices.read(file | environ, settings.catalogue)
    settings = settings.model_copy(update={"price_ids": named.ids, "unknown_prices": named.unknown})
    # Checks that depend on an invalid value run once that is corrected; each invalid value is reported once.
    faults = dict(production.faults(settings)) | faults
    if faults or named.faults:
        found = [field for field in FIELDS if field in faults]
        names = {field: given[field].name if field in given else str(FIELDS[field][0]) for field in found}
        lines = [_line(field, names[field], faults[field], settings.is_production) for field in found]
        raise BadSettings("\n".join(lines + [prices.line(name, fault) for name, fault in named.faults.items()]))
    return settings


def _stripped(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return the values without surrounding whitespace; an empty one counts as not set."""
    stripped = {name: (value or "").strip() for name, value in variables.items()}
    return {name: value for name, value in stripped.items() if value}


def _fields(variables: Mapping[str, str]) -> dict[str, Given]:
    """Return values by field, from the first of its names that is set."""
    found = {}
    for field, names in FIELDS.items():
        name = next((str(name) for name in names if str(name) in variables), None)
        if name:
            found[field] = Given(name, variables[name])
    return found


def _located(given: dict[str, Given], env_file: Path | None) -> dict[str, Given]:
    """Return the values of a file, its relative paths taken from the file's folder, as is the default instance."""
    if env_file is None or not env_file.is_file():
        return given
    folder = env_file.resolve().parent
    found = {"instance_path": Given("INSTANCE_PATH", "instance")} | given
    paths = {name: folder / Path(found[name].value).expanduser() for name in PATHS & found.keys()}
    return found | {name: Given(found[name].name, str(path)) for name, path in paths.items()}


def _file(path: Path) -> dict[str, str | None]:
    # Not interpolated: a password may contain a dollar sign.
    return dotenv_values(path, interpolate=False) if path.is_file() else {}


def _completed(given: dict[str, Any], sandbox: bool) -> dict[str, Any]:
    """Return the settings with those generated at the first start, only in development."""
    if given.get("environment") == "production":
        return given
    folder = Path(given.get("instance_path", "instance")).expanduser()
    generated = _fields(_stripped(_file(folder / SANDBOX_ENV)))
    names = generated.keys() if sandbox else HOUSE_SECRETS & generated.keys()
    return {name: generated[name].value for name in names} | given


def _checked(found: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and errors by field. An invalid value is left out, so that the others can be
    checked.
    """
    try:
        return Settings(**found), {}
    except ValidationError as error:
        faults = dict(_faults(error))
    rest = {field: value for field, value in found.items() if field not in faults}
    return Settings(**rest), faults


def _faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    for fault in error.errors(include_url=False, include_input=False):
        if fault["type"] == "default_factory_not_called":
            continue  # a default that depends on an invalid value is not an error of its own
        ours = fault["type"] == "value_error"
        yield str(fault["loc"][0]), str(fault["ctx"]["error"]) if ours else "does not have the right form"


def _line(field: str, name: str, problem: str, in_production: bool) -> str:
    """Return the variable, the error, the expected format and an example."""
    words: Any = Settings.model_fields[field].json_schema_extra
    example = words["in_production" if in_production else "example"]
    example = example() if callable(example) else example
    return f"{name} {problem}: it takes {words['shape']}, for example {name}={example}"
