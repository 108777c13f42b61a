"""The translation of Stripe's errors: refused (nothing happened there), or unavailable (the outcome is
unknown).
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from flask import Flask

from portal import gateway
from portal.errors import StripeRefused, StripeUnavailable
from portal.gateway import Lane
from tests.support.servers import LIVE_KEY, free_port
from tests.support.world import World

FOR_EVER = 1000


@pytest.mark.parametrize("status", [400, 402, 403, 404])
def test_a_definite_no_is_a_refusal_but_for_our_key(app: Flask, here: World, status: int) -> None:
    here.fail(next=FOR_EVER, status=status)
    expected = StripeUnavailable if status == 403 else StripeRefused
    with pytest.raises(expected) as refusal:
        gateway.of("live").customer("cus_1")
    assert refusal.value.status == (503 if status == 403 else 502)


@pytest.mark.parametrize(
    ("status", "failure"), [(401, ""), (409, ""), (429, ""), (500, "server_error"), (503, "server_error")]
)
def test_all_else_is_unavailable_and_says_whether_stripe_would_repeat_it(
    app: Flask, here: World, status: int, failure: str
) -> None:
    here.fail(next=FOR_EVER, status=status)
    with pytest.raises(StripeUnavailable) as raised:
        gateway.of("live").customer("cus_1")
    assert raised.value.failure == failure


def test_what_stripe_does_not_know_is_said_by_its_code(app: Flask) -> None:
    with pytest.raises(StripeRefused) as refusal:
        gateway.of("live").customer("cus_never")
    assert refusal.value.stripe_code == "resource_missing"


def test_stripe_s_words_for_the_operator_do_not_reach_the_customer(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StripeRefused) as refusal:
        gateway.of("live").customer("cus_never")
    assert "cus_never" not in refusal.value.detail
    assert "No such customer" in caplog.text


@pytest.mark.parametrize(("status", "words"), [(401, "does not accept the key"), (403, "lacks a permission")])
def test_the_command_line_names_the_setting_of_a_key_that_stripe_refuses(
    here: World, status: int, words: str
) -> None:
    here.fail(next=FOR_EVER, status=status)
    done = here.app.test_cli_runner().invoke(args=["catalogue", "push", "--mode", "test"])
    assert done.exit_code == 1
    assert words in done.output
    assert "STRIPE_TEST_SECRET_KEY" in done.output


def test_without_a_key_payments_are_not_set_up(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StripeUnavailable, match="not set up") as raised:
        Lane("live", key=None, base=None, timeout=1).customer("cus_1")
    assert "STRIPE_SECRET_KEY is not set" in raised.value.for_operator
    assert "STRIPE_SECRET_KEY" in caplog.text


def test_nobody_there_is_unavailable() -> None:
    lane = Lane("live", key=LIVE_KEY, base=f"http://127.0.0.1:{free_port()}", timeout=1)
    with pytest.raises(StripeUnavailable) as failure:
        lane.customer("cus_1")
    assert failure.value.failure == ""


class Proxy(BaseHTTPRequestHandler):
    """A proxy that responds instead of Stripe, and not as Stripe does."""

    def do_GET(self) -> None:
        body = b"<h1>Back soon</h1>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Log nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_that_is_not_stripe_s_says_nothing_about_what_happened(proxy: str) -> None:
    lane = Lane("live", key=LIVE_KEY, base=proxy, timeout=1)
    with pytest.raises(StripeUnavailable) as failure:
        lane.customer("cus_1")
    assert failure.value.failure == ""


def test_a_mode_that_is_none_is_a_fault_of_ours(app: Flask) -> None:
    with pytest.raises(KeyError):
        gateway.of("prod")


def test_lists_are_read_to_their_end(app: Flask, here: World) -> None:
    found = list(gateway.of("live").events(type="price.created"))
    assert len(found) == len({event["id"] for event in found}) > 0
    lookups = gateway.of("live").prices_by_lookup_key([f"key_{n}" for n in range(25)])
    assert lookups == []


@pytest.mark.parametrize("given", ["../customers", "cus_1/../../products", "cus_1?limit=1", "cus 1", "#"])
def test_an_id_cannot_lead_to_another_path(app: Flask, given: str) -> None:
    with pytest.raises(StripeRefused):
        gateway.of("live").customer(given)
