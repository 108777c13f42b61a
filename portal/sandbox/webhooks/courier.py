"""The background thread that runs every account's timers and deliveries."""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from portal.sandbox.webhooks.deliveries import Deliverer

log = logging.getLogger(__name__)
PAUSE = 0.05  # seconds between checks


class HasDeliverer(Protocol):
    """An account."""

    @property
    def deliverer(self) -> Deliverer: ...


class Accounts(Iterable[HasDeliverer], Protocol):
    """All accounts; a new one shows up by itself."""

    nudge: threading.Event


class Courier(threading.Thread):
    """Sends due deliveries and runs timers of all accounts, until it is stopped."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(name="courier", daemon=True)
        self.accounts, self.stopping = accounts, threading.Event()

    def run(self) -> None:
        with ThreadPoolExecutor(4) as pool:
            while not self.stopping.is_set():
                self.accounts.nudge.wait(PAUSE)
                self.accounts.nudge.clear()
                for account in self.accounts:
                    try:
                        account.deliverer.round(pool)
                    except Exception:
                        log.exception("the sandbox's deliverer stumbled and goes on")
