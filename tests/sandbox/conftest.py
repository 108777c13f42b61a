"""A sandbox in its own process, with an account for each file of tests, an endpoint for its webhooks, and a buyer
with cards.
"""

import os
import re
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from tests.conformance import judging
from tests.sandbox import dropping, sending
from tests.sandbox.clocked import carol, clock  # noqa: F401
from tests.sandbox.hook import Hook, hooked
from tests.support.servers import ROOT, free_port, wait_until_up

LIVE_KEY = "sk_live_forTheSandboxsTests01"
TEST_KEY = "sk_test_forTheSandboxsTests01"
SECRET = "whsec_forTheSandboxsTests01"


class RecordingClient(judging.JudgedClient):
    """Keeps which parameters were sent in calls that were accepted."""

    def __init__(self, sandbox: "Sandbox") -> None:
        super().__init__(sandbox.problems)
        self.sandbox = sandbox

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        url, form = dropping.without(self.sandbox.dropped, method.upper(), url, str(post_data or ""))
        body, status, more = super().request(method, url, headers, form or None)
        if status < 400:
            self.sandbox.sent |= sending.sent(method.upper(), url, form)
        return body, status, more


@dataclass
class Sandbox:
    """One account of a sandbox process; `start` again after `kill` finds the same state."""

    folder: Path
    hook_url: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    problems: list[str] = field(default_factory=list)
    sent: set[sending.Sent] = field(default_factory=set)
    dropped: sending.Sent | None = None
    seen: str = ""
    test_key: str = TEST_KEY
    live_key: str = LIVE_KEY
    secret: str = SECRET  # of the endpoint that its test webhooks go to

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.test_key}"}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environ = os.environ | {
            "SANDBOX_LIVE_KEY": LIVE_KEY,
            "SANDBOX_TEST_KEY": TEST_KEY,
            "SANDBOX_TEST_WEBHOOK_URL": self.hook_url,
            "SANDBOX_TEST_WEBHOOK_SECRET": SECRET,
            "SANDBOX_RETRY_SCHEDULE": "0.1,0.3,0.6,1,1,1,1,1",
            "SANDBOX_SETTLE_AFTER": "0.2",
        }
        command = [sys.executable, "-m", "portal.sandbox", "--port", str(self.port)]
        command += ["--database", str(self.folder / "sandbox.db")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        wait_until_up(f"{self.base}/healthz")

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def part(self, name: str, hook_url: str) -> "Sandbox":
        """Return another account of this process, with an endpoint for all events of its test mode."""
        keys = {"test_key": f"sk_test_{name}_1", "live_key": f"sk_live_{name}_1"}
        mine = Sandbox(self.folder, hook_url, self.port, self.process, **keys)
        wanted = {"url": hook_url, "enabled_events[0]": "*"}
        mine.secret = mine.post("/v1/webhook_endpoints", wanted).json()["secret"]
        mine.sent.clear()
        return mine

    def client(self, key: str | None = None, version: str | None = None) -> Any:
        """The SDK's v1 services, with every response checked against Stripe's specification."""
        client = stripe.StripeClient(
            key or self.test_key,
            base_addresses={"api": self.base},
            max_network_retries=0,
            stripe_version=version,
            http_client=RecordingClient(self),
        )
        return client.v1

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str) -> requests.Response:
        """A call without the SDK, and without Stripe-Version unless given."""
        sent = self.authorization | {k.replace("_", "-"): v for k, v in headers.items()}
        form = dropping.without(self.dropped, "POST", path, urllib.parse.urlencode(data or {}))[1]
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        answer = requests.post(self.base + path, data=form, headers=sent, timeout=30)
        if answer.ok:
            self.sent |= sending.sent("POST", path, form)
        return answer

    def newest_events(self) -> list[dict[str, Any]]:
        """The events since the last look, at most a hundred."""
        params = {"limit": "100"} | ({"ending_before": self.seen} if self.seen else {})
        sent = self.authorization
        found: list[dict[str, Any]] = requests.get(
            f"{self.base}/v1/events", params, headers=sent, timeout=30
        ).json()["data"]
        self.seen = found[0]["id"] if found else self.seen
        return found

    def config(self, what: str, **switches: Any) -> dict[str, Any]:
        answer = requests.post(
            f"{self.base}/_config/{what}", json=switches, headers=self.authorization, timeout=60
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def eventually(check: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with hooked() as server:
        yield server


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The default account of the running sandbox, which all files of tests share."""
    running = Sandbox(tmp_path_factory.mktemp("sandbox"), "")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def sandbox(process: Sandbox, hook: Hook, request: pytest.FixtureRequest) -> Sandbox:
    """An account of the running sandbox, shared by the tests of a file."""
    name = re.sub(r"\W|_", "", request.module.__name__.rpartition(".test_")[2].lower())
    return process.part(name[:30], hook.url)


@pytest.fixture
def dropped() -> sending.Sent | None:
    """The parameter that a run leaves out (tests/sandbox/dropping.py)."""
    return None


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest, dropped: sending.Sent | None) -> Iterator[None]:
    """Reset faults after each test, and check that every event had Stripe's form."""
    running = request.getfixturevalue("sandbox") if "sandbox" in request.fixturenames else None
    if running:
        running.dropped = dropped
    yield
    if not running:
        return
    running.config("reset")
    sent = set(running.sent)
    running.sent.clear()
    if dropped:
        running.problems.clear()
        return
    if not hasattr(request.node, "callspec"):  # each of several runs may send a part: tests/sandbox/dropping.py
        assert sending.unsent(request.node, sent) == set(), "in supported.toml, but not sent with success"
    heard = [problem for event in running.newest_events() for problem in judging.wrong_with_event(event)]
    problems = running.problems + heard
    running.problems.clear()
    assert problems == []


@pytest.fixture
def api(sandbox: Sandbox) -> Any:
    """The SDK in test mode."""
    return sandbox.client()


@pytest.fixture
def alice(api: Any) -> Any:
    """A customer with an email and no card."""
    return api.customers.create({"email": "alice@example.com", "name": "Alice"})


@pytest.fixture
def bob(api: Any) -> Any:
    """A customer with a card that works."""
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    return api.customers.create({"email": "bob@example.com", **card})


@pytest.fixture
def product(api: Any) -> Any:
    return api.products.create({"name": "Pro"})


@pytest.fixture
def monthly(api: Any, product: Any) -> Any:
    """$49.99 a month."""
    terms = {"unit_amount": 4999, "currency": "usd", "recurring": {"interval": "month"}}
    return api.prices.create({"product": product.id, **terms})


@pytest.fixture
def once(api: Any, product: Any) -> Any:
    """$15, once."""
    return api.prices.create({"product": product.id, "unit_amount": 1500, "currency": "usd"})


@pytest.fixture
def begin(api: Any) -> Callable[..., Any]:
    """Make a checkout session."""

    def make(mode: str, price: Any = None, **params: Any) -> Any:
        lines = {"line_items": [{"price": price.id, "quantity": 1}]} if price else {"currency": "usd"}
        urls = {
            "success_url": "http://shop.example/done?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.example/back",
        }
        return api.checkout.sessions.create({"mode": mode, **urls, **lines, **params})

    return make
