"""Webhook deliveries: in the background, retried with growing intervals, across restarts."""

import contextlib
import json
import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from portal.sandbox.account import Account
from portal.sandbox.api.controls import Controls
from portal.sandbox.config import Config
from portal.sandbox.domain import timers
from portal.sandbox.store import Store
from portal.sandbox.webhooks.endpoint import Connection
from portal.sandbox.webhooks.events import public

Due = tuple[int, str, int]  # a delivery's number, its event, and its number of attempts
log = logging.getLogger(__name__)
LONGEST = 1.0  # seconds without a look at what is due
STARTING = 30.0  # seconds that an endpoint may take to start before a warning
WAIT = 50.0  # seconds that a flush waits for deliveries


class Deliverer:
    """Sends one account's due deliveries and runs its timers, a round at a time."""

    def __init__(self, store: Store, config: Config, controls: Controls, nudge: threading.Event) -> None:
        self.store, self.config, self.controls, self.nudge = store, config, controls, nudge
        # Endpoints that are being served; their rows stay due, so that a crash loses none of them.
        self.busy: set[str] = set()
        self.missed: dict[str, float] = {}  # since when a URL refuses connections; infinity once that was logged
        self.idle_until = 0.0  # nothing is due before, unless something is written

    def round(self, pool: ThreadPoolExecutor) -> None:
        """Run due timers and deliveries once. An account where nothing happens costs no query."""
        if not self.store.written and time.time() < self.idle_until:
            return
        self.store.written = False
        timers.tick(self.store, self.config, self.controls.settlements.hold)
        for endpoint, batch in self.due().items():
            self.busy.add(endpoint)
            pool.submit(self.deliver_all, endpoint, batch)
        self.idle_until = self.next_due()

    def next_due(self) -> float:
        """Return when the next timer or delivery is due, at the latest in a second."""
        now, delay = time.time(), self.controls.deliveries.delay
        soonest = "SELECT min(due) FROM timers UNION ALL SELECT min(due) + ? FROM deliveries"
        dues = [due for (due,) in self.store.rows(soonest, delay) if due is not None and due > now]
        return float(min([now + LONGEST, *dues]))

    def due(self) -> dict[str, list[Due]]:
        """Return the due deliveries, by endpoint, without endpoints that are being served."""
        switches, now = self.controls.deliveries, time.time()
        order = "DESC" if switches.reorder else "ASC"
        found = self.store.rows(
            "SELECT seq, event, endpoint, attempts FROM deliveries "  # noqa: S608
            f"WHERE due <= ? AND (? = 0 OR released = 1) ORDER BY seq {order} LIMIT 50",
            now - switches.delay,
            int(switches.hold),
        )
        batches: dict[str, list[Due]] = defaultdict(list)
        for seq, event, endpoint, attempts in found:
            if endpoint not in self.busy:
                batches[endpoint].append((seq, event, attempts))
        return batches

    def deliver_all(self, endpoint: str, batch: list[Due]) -> None:
        """Send an endpoint its events, one after the other, over one connection."""
        try:
            account = Account(
                self.store, self.config, "live" if self.store.mode_of(endpoint) == "live" else "test"
            )
            if target := account.get(endpoint):
                with contextlib.closing(Connection(target["url"], target["_"]["secret"])) as connection:
                    self.send(connection, account, batch)
            else:
                for seq, event, _attempts in batch:
                    self.finish(seq, event)
        except Exception:
            log.exception("delivery failed")
        finally:
            self.busy.discard(endpoint)
            self.nudge.set()

    def send(self, connection: Connection, account: Account, batch: list[Due]) -> None:
        """Send them all; if the connection is refused, the others are postponed too."""
        for number, (seq, event, attempts) in enumerate(batch):
            try:
                self.deliver(connection, account, seq, event, attempts)
            except ConnectionRefusedError:
                self.postpone(batch[number:])
                self.miss(connection.url)
                return
        self.missed.pop(connection.url, None)

    def deliver(self, connection: Connection, account: Account, seq: int, event: str, attempts: int) -> None:
        """Send one event and record the result. Raises ConnectionRefusedError."""
        if not self.store.rows("SELECT 1 FROM deliveries WHERE seq = ?", seq):
            return  # discarded meanwhile
        if self.controls.drops():
            self.finish(seq, event)
            return
        payload = json.dumps(public(account.get(event)), indent=2).encode()
        status = self.attempt(connection, seq, payload)
        if self.controls.duplicates():
            status = self.attempt(connection, seq, payload)
        if 200 <= status < 300:
            self.finish(seq, event)
        else:
            log.warning("%s to %s: %s", event, connection.url, status or "no answer")
            self.postpone([(seq, event, attempts)])

    def attempt(self, connection: Connection, seq: int, payload: bytes) -> int:
        """Send once, and return the response's status; both are stored, also of a refused connection, which
        raises.
        """
        status = 0
        try:
            status = connection.send(payload)
        finally:
            noted = (
                "INSERT INTO attempts (event, endpoint, at, status) "
                "SELECT event, endpoint, ?, ? FROM deliveries WHERE seq = ?"
            )
            with self.store.alone:
                self.store.db.execute(noted, (time.time(), status, seq))
        return status

    def miss(self, url: str) -> None:
        """Log once that a URL refuses connections, if it lasts: a portal that is just starting is not logged."""
        now = time.monotonic()
        if now - self.missed.setdefault(url, now) > STARTING:
            log.warning("Nobody listens at %s; its events are tried again, ever more slowly", url)
            self.missed[url] = math.inf

    def finish(self, seq: int, event: str) -> None:
        """Finish a delivery; the event counts the remaining ones."""
        with self.store.transaction():
            self.store.db.execute("DELETE FROM deliveries WHERE seq = ?", (seq,))
            left = self.store.rows("SELECT count(*) FROM deliveries WHERE event = ?", event)[0][0]
            self.store.db.execute(
                "UPDATE objects SET json = json_set(json, '$.pending_webhooks', ?) WHERE id = ?", (left, event)
            )

    def postpone(self, batch: list[Due]) -> None:
        """Postpone the next attempt; after the last of the schedule there is none."""
        pauses = dict(enumerate(self.config.retry_schedule))
        now = time.time()
        later = [(now + pauses[tried] if tried in pauses else None, seq) for seq, _event, tried in batch]
        with self.store.transaction():
            self.store.db.executemany(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?, released = 0 WHERE seq = ?", later
            )

    def flush(self) -> int:
        """Send held deliveries now, and return when all were attempted, with how many were not in time."""
        with self.store.transaction():
            self.store.db.execute(
                "UPDATE deliveries SET released = 1, due = ? WHERE due IS NOT NULL", (time.time() - 3600,)
            )
        self.nudge.set()
        waiting = "SELECT count(*) FROM deliveries WHERE released = 1"
        self.wait_until(lambda: not self.store.rows(waiting)[0][0])
        return int(self.store.rows(waiting)[0][0])

    def discard(self) -> None:
        """Drop pending deliveries; return when none is in progress."""
        with self.store.transaction():
            self.store.db.execute("DELETE FROM deliveries")
        self.wait_until(lambda: not self.busy)

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Wait for the deliverer, up to a limit."""
        deadline = time.monotonic() + WAIT
        while not done() and time.monotonic() < deadline:
            time.sleep(0.01)
