"""The accounts of the sandbox, each with a store, faults and deliveries of its own.

A key names its account: sk_test_acme_1 and rk_live_acme_2 are of `acme`. Keys without such a part are of the
default account.
"""

import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.controls import Controls
from portal.sandbox.config import Config, Mode, account_in
from portal.sandbox.store import Store
from portal.sandbox.webhooks.deliveries import Deliverer
from portal.sandbox.webhooks.endpoint import configured

Json = dict[str, Any]
LOGGED = 500  # requests that an account remembers


@dataclass(frozen=True)
class LoggedRequest:
    """One request to the API; created in seconds since 1970, took in milliseconds."""

    id: str
    mode: Mode
    method: str
    path: str
    status: int
    created: int
    took: float
    error: str = ""


@dataclass(frozen=True)
class Tenant:
    """All that one account has. The default account's name is empty."""

    name: str
    store: Store
    config: Config
    controls: Controls
    deliverer: Deliverer
    requests: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=LOGGED))

    def account(self, mode: Mode, request: Json | None = None) -> Account:
        """Return one mode of the account."""
        return Account(self.store, self.config, mode, request)

    def holder(self, id_: str) -> Account | None:
        """Return the mode of this account in which an object exists, or None."""
        mode = self.store.mode_of(id_)
        return self.account("live" if mode == "live" else "test") if mode else None

    def wipe(self) -> None:
        """Delete everything; webhook endpoints of the configuration are created again."""
        with self.store.transaction():
            self.store.clear()
            self.install()
        self.requests.clear()

    def install(self) -> None:
        """Create or update the webhook endpoints of the configuration."""
        for endpoint in self.config.endpoints:
            if account_in(self.config.key(endpoint.mode)) == self.name:
                configured(self.account(endpoint.mode), endpoint)


class Tenants:
    """The accounts of one sandbox. One that a key names for the first time is opened then."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.nudge = threading.Event()
        self.open: dict[str, Tenant] = {}
        self.opening = threading.Lock()
        self.folder = config.database.with_suffix(".accounts")
        for name in ("", *(account_in(config.key(mode)) for mode in ("live", "test"))):
            self.of(name)
        for path in sorted(self.folder.glob("*.db")):
            if re.fullmatch(r"[a-z][a-z0-9]*", path.stem):
                self.of(path.stem)

    def __iter__(self) -> Iterator[Tenant]:
        return iter(list(self.open.values()))

    def of(self, name: str) -> Tenant:
        """Return the account with this name, opened if it is new."""
        known = self.open.get(name)
        if known:
            return known
        with self.opening:
            if name not in self.open:
                path = self.folder / f"{name}.db" if name else self.config.database
                store = Store(path, f"acct_{name or '1SandboxSandbox01'}")
                controls = Controls()
                deliverer = Deliverer(store, self.config, controls, self.nudge)
                tenant = Tenant(name, store, self.config, controls, deliverer)
                with store.transaction():
                    tenant.install()
                self.open[name] = tenant
            return self.open[name]

    def holding(self, id_: str) -> Account | None:
        """Return the account and mode in which an object exists, or None: a page knows the id in its URL alone."""
        return next((found for tenant in self if (found := tenant.holder(id_))), None)
