"""The configuration of a sandbox."""

import os
import pathlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["live", "test"]
NAMED_KEY = re.compile(r"[rs]k_(live|test)_([a-z][a-z0-9]{0,30})_\w+", re.ASCII)

# Stripe retries for three days, with growing intervals; so does the sandbox.
RETRIES = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 7200.0, 14400.0, 28800.0, 57600.0, 86400.0)


@dataclass(frozen=True)
class Endpoint:
    """A webhook endpoint that exists from the start and gets every event of its mode."""

    mode: Mode
    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Config:
    """The configuration of a sandbox; retry_schedule and settle_after are in seconds."""

    database: pathlib.Path
    live_key: str = field(repr=False)
    test_key: str = field(repr=False)
    port: int = 8001
    endpoints: tuple[Endpoint, ...] = ()
    retry_schedule: tuple[float, ...] = RETRIES
    settle_after: float = 2.0
    open_test_keys: bool = False
    hosts: frozenset[str] = frozenset()  # names that it is reached by, beside local ones

    def key(self, mode: Mode) -> str:
        """Return the secret key of this mode."""
        return self.live_key if mode == "live" else self.test_key

    @property
    def pages(self) -> str:
        """Return the origin of the hosted pages: another host name than the API's, so browsers treat it as
        another site.
        """
        return f"http://localhost:{self.port}"


def account_in(key: str) -> str:
    """Return the account that a key names, such as acme for sk_test_acme_1; empty for the default account."""
    named = NAMED_KEY.fullmatch(key)
    return named[2] if named else ""


def from_environ(environ: Mapping[str, str], port: int, database: pathlib.Path) -> Config:
    """Return the configuration from SANDBOX_* variables, with new keys if none are set."""
    retries = environ.get("SANDBOX_RETRY_SCHEDULE", "")
    return Config(
        port=port,
        database=database,
        live_key=environ.get("SANDBOX_LIVE_KEY") or "sk_live_" + secrets.token_hex(16),
        test_key=environ.get("SANDBOX_TEST_KEY") or "sk_test_" + secrets.token_hex(16),
        endpoints=tuple(e for e in (_endpoint(environ, "live"), _endpoint(environ, "test")) if e),
        retry_schedule=tuple(float(s) for s in retries.split(",")) if retries else RETRIES,
        settle_after=float(environ.get("SANDBOX_SETTLE_AFTER", "2")),
        hosts=frozenset(environ.get("SANDBOX_HOSTS", "").replace(",", " ").split()),
        open_test_keys=environ.get("SANDBOX_OPEN_TEST_KEYS", "") == "1",
    )


def _endpoint(environ: Mapping[str, str], mode: Mode) -> Endpoint | None:
    url = environ.get(f"SANDBOX_{mode.upper()}_WEBHOOK_URL")
    secret = environ.get(f"SANDBOX_{mode.upper()}_WEBHOOK_SECRET")
    return Endpoint(mode, url, secret) if url and secret else None


def environ() -> Mapping[str, str]:
    """Return the process's environment."""
    return os.environ
