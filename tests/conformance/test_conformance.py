"""A stranger as judge: Stripe's own specification, held against every call, answer and webhook of a purchase.

The checker is a program of its own that stands as a proxy on both sides of the portal.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from portal.credits.top_ups import top_ups
from tests.conformance.judging import CHECKER
from tests.conftest import leave_out, person
from tests.support import browsing, servers
from tests.support.world import World, world

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


@contextlib.contextmanager
def judge(port: int, upstream_port: int) -> Iterator[None]:
    """The checker as a proxy on this port."""
    listen, upstream = f"127.0.0.1:{port}", f"http://127.0.0.1:{upstream_port}"
    command = [sys.executable, str(CHECKER), "proxy", "--listen", listen, "--upstream", upstream]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        servers.wait_until_up(f"http://{listen}/_conformance")
        yield
    finally:
        process.terminate()
        process.wait(10)


def verdict(port: int) -> dict:
    """Return what the checker has seen so far."""
    return requests.get(f"http://127.0.0.1:{port}/_conformance", timeout=10).json()


def test_a_whole_purchase_conforms_on_both_sides_of_the_portal(tmp_path: Path) -> None:
    if not CHECKER.exists():
        leave_out("the conformance checker is not here, so nothing was held against Stripe's specification")
    portal, webhooks, sandbox, api = (servers.free_port() for _ in range(4))
    with (
        judge(api, sandbox),
        judge(webhooks, portal),
        world(
            tmp_path, f"sqlite:///{tmp_path}/portal.db", "sqlite", api_port=api, ports=(portal, webhooks, sandbox)
        ) as here,
    ):
        live_through_everything(here)
        said_and_heard, delivered = verdict(api), verdict(webhooks)
        assert said_and_heard["requests"] > 20
        assert delivered["requests"] > 20
        assert said_and_heard["violations"] == []
        assert delivered["violations"] == []
        crawl(here, servers.LIVE_KEY)


def live_through_everything(here: World) -> None:
    """Buy with each kind of card and by a link, change plans, and cancel, with every webhook delivered."""
    alice = person(here, "alice").browser
    alice.choose("starter-monthly")
    alice.choose("pro-yearly")
    alice.pay(browsing.DECLINED)
    alice.pay()
    alice.reveal()
    bob = person(here, "bob").browser
    bob.choose("pro-monthly")
    bob.pay(browsing.AUTHENTICATE)
    bob.press("Complete")
    bob.open("/billing")
    bob.press("Manage payment method")
    done = here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "pro"])
    stranger = browsing.Browser(here)
    stranger.open(done.output.strip())
    stranger.pay(email="eve@example.com")
    here.flush()
    buy_credits(here, bob)
    stripe = here.stripe()
    stripe.v1.subscriptions.cancel(stripe.v1.subscriptions.list().data[0].id)
    here.flush()


def buy_credits(here: World, buyer: browsing.Browser) -> None:
    """Buy a package of credits, refund a part, dispute it, and top up with the card of the plan."""
    buyer.open("/credits")
    buyer.press("Buy Basic")
    buyer.pay()
    here.stripe().v1.refunds.create({"payment_intent": newest_payment(here), "amount": 900})
    buyer.open("/credits")
    buyer.press("Buy custom amount", amount="25")
    buyer.pay("4000 0000 0000 0259")
    buyer.open("/credits")
    terms = {"threshold": "100000", "package": "starter", "monthly_cap": "$10", "consent": "y"}
    buyer.press("Turn on top-up", **terms)
    assert "The automatic top-up is on." in buyer.text
    with here.app.app_context():
        assert top_ups.run() == 1
    here.flush()


def newest_payment(here: World) -> str:
    """The payment intent that was made last."""
    return str(here.stripe().v1.payment_intents.list({"limit": 1}).data[0].id)


def crawl(here: World, key: str) -> None:
    """Every list and its first object, read and checked."""
    command = [sys.executable, str(CHECKER), "crawl", "--base", here.sandbox, "--key", key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
