"""Webhook deliveries: signed, in the background, tried again with growing pauses, across restarts."""

import hashlib
import hmac
import http.client
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from portal.sandbox import clockwork
from portal.sandbox.account import Account
from portal.sandbox.config import Config
from portal.sandbox.controls import Controls
from portal.sandbox.events import public
from portal.sandbox.store import Store

Json = dict[str, Any]
log = logging.getLogger(__name__)
PAUSE = 0.05  # seconds between looks at what is due
QUIET_ATTEMPTS = 2  # an endpoint that is just starting is no news
TIMEOUT = 20.0  # seconds that an endpoint may take
WAIT = 50.0  # seconds that a flush waits for deliveries


def signature(payload: bytes, secret: str, moment: int) -> str:
    """The Stripe-Signature header for a body sent at a moment (seconds since 1970)."""
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={signed}"


def send(url: str, payload: bytes, secret: str) -> int:
    """Deliver once; the status of the answer, 0 for none."""
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": signature(payload, secret, int(time.time())),
    }
    request = urllib.request.Request(url, payload, headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except (OSError, http.client.HTTPException):
        return 0


class Deliverer(threading.Thread):
    """Sends what is due and does what time brings, until it is stopped."""

    def __init__(self, store: Store, config: Config, controls: Controls) -> None:
        super().__init__(name="deliverer", daemon=True)
        self.store, self.config, self.controls = store, config, controls
        self.stopping, self.nudge = threading.Event(), threading.Event()
        # An endpoint in here is being served; its rows stay due, so that a crash loses none of them.
        self.busy: set[str] = set()

    def run(self) -> None:
        with ThreadPoolExecutor(4) as pool:
            while not self.stopping.is_set():
                self.nudge.wait(PAUSE)
                self.nudge.clear()
                try:
                    self.round(pool)
                except Exception:
                    log.exception("the sandbox's deliverer stumbled and goes on")

    def round(self, pool: ThreadPoolExecutor) -> None:
        """One look at what time has brought and at what is due."""
        clockwork.tick(self.store, self.config, self.controls.settlements.hold)
        for endpoint, batch in self.due().items():
            self.busy.add(endpoint)
            pool.submit(self.deliver_all, endpoint, batch)

    def due(self) -> dict[str, list[tuple[int, str, int]]]:
        """What is to be sent now, by endpoint; an endpoint that is being served waits."""
        switches, now = self.controls.deliveries, time.time()
        order = "DESC" if switches.reorder else "ASC"
        found = self.store.rows(
            "SELECT seq, event, endpoint, attempts FROM deliveries "  # noqa: S608
            f"WHERE due <= ? AND (? = 0 OR released = 1) ORDER BY seq {order} LIMIT 50",
            now - switches.delay,
            int(switches.hold),
        )
        batches: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        for seq, event, endpoint, attempts in found:
            if endpoint not in self.busy:
                batches[endpoint].append((seq, event, attempts))
        return batches

    def deliver_all(self, endpoint: str, batch: list[tuple[int, str, int]]) -> None:
        """Send an endpoint its events, one after the other."""
        try:
            for seq, event, attempts in batch:
                self.deliver(endpoint, seq, event, attempts)
        except Exception:
            log.exception("delivery failed")
        finally:
            self.busy.discard(endpoint)
            self.nudge.set()

    def deliver(self, endpoint: str, seq: int, event: str, attempts: int) -> None:
        """Send one event to one endpoint and write down what came of it."""
        if not self.store.rows("SELECT 1 FROM deliveries WHERE seq = ?", seq):
            return  # discarded meanwhile
        target, payload = self.addressed(endpoint, event)
        if target is None or self.controls.drops():
            self.finish(seq, event)
            return
        status = send(target["url"], payload, target["_"]["secret"])
        if self.controls.duplicates():
            status = send(target["url"], payload, target["_"]["secret"])
        arrived, starting = 200 <= status < 300, attempts < QUIET_ATTEMPTS
        level = logging.DEBUG if arrived or starting else logging.WARNING
        log.log(level, "%s to %s: %s", event, target["url"], status or "no answer")
        if 200 <= status < 300:
            self.finish(seq, event)
        else:
            self.postpone(seq, attempts)

    def addressed(self, endpoint: str, event: str) -> tuple[Json | None, bytes]:
        """The endpoint, if it still exists, and the body that it gets."""
        account = Account(self.store, self.config, "live" if self.store.mode_of(event) == "live" else "test")
        body = json.dumps(public(account.get(event)), indent=2).encode()
        return account.get(endpoint), body

    def finish(self, seq: int, event: str) -> None:
        """A delivery that is done; the event counts those that are still to come."""
        with self.store.transaction():
            self.store.db.execute("DELETE FROM deliveries WHERE seq = ?", (seq,))
            left = self.store.rows("SELECT count(*) FROM deliveries WHERE event = ?", event)[0][0]
            self.store.db.execute(
                "UPDATE objects SET json = json_set(json, '$.pending_webhooks', ?) WHERE id = ?", (left, event)
            )

    def postpone(self, seq: int, attempts: int) -> None:
        """Another try later; after the last of the schedule there is none."""
        schedule = self.config.retry_schedule
        due = time.time() + schedule[attempts] if attempts < len(schedule) else None
        with self.store.transaction():
            self.store.db.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?, released = 0 WHERE seq = ?", (due, seq)
            )

    def flush(self) -> None:
        """Send what is held back, now; returns when all of it was tried."""
        with self.store.transaction():
            self.store.db.execute(
                "UPDATE deliveries SET released = 1, due = ? WHERE due IS NOT NULL", (time.time() - 3600,)
            )
        self.nudge.set()
        self.wait_until(lambda: not self.store.rows("SELECT 1 FROM deliveries WHERE released = 1 LIMIT 1"))

    def discard(self) -> None:
        """Forget what is still to be delivered; returns when nothing is under way."""
        with self.store.transaction():
            self.store.db.execute("DELETE FROM deliveries")
        self.wait_until(lambda: not self.busy)

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Wait for the deliverer, but not for ever."""
        deadline = time.monotonic() + WAIT
        while not done() and time.monotonic() < deadline:
            time.sleep(0.01)
