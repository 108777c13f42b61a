"""`flask webhooks push`: the endpoint at Stripe gets every event that a handler is there for."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe
from flask import Flask

from portal.webhooks.handlers import HANDLERS
from tests.support.world import World

URL = "https://billing.example.com/api/webhooks/stripe"
LIVE = sorted(kind for kind in HANDLERS if not kind.startswith("test_helpers."))


@pytest.fixture
def flask(app: Flask) -> Callable[..., Any]:
    """`flask …`: its exit code and output."""
    return lambda *words: app.test_cli_runner().invoke(args=words)


@pytest.fixture
def endpoints(app: Flask, here: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Any]]]:
    """List the endpoints of a mode at example.com, where the portal is reached; they are deleted afterwards."""
    settings = app.extensions["settings"].model_copy(update={"base_url": "https://billing.example.com"})
    monkeypatch.setitem(app.extensions, "settings", settings)

    def listed(mode: str = "live") -> list[Any]:
        found = here.stripe(mode).v1.webhook_endpoints.list({"limit": 100}).data
        return [one for one in found if "example.com" in one.url]

    yield listed
    for mode in ("live", "test"):
        for one in listed(mode):
            here.stripe(mode).v1.webhook_endpoints.delete(one.id)


def create(here: World, events: list[Any], url: str = URL) -> Any:
    return here.stripe().v1.webhook_endpoints.create({"url": url, "enabled_events": events})


def test_a_missing_endpoint_is_created_and_its_secret_is_shown_once(
    flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    said = flask("webhooks", "push").output
    (made,) = endpoints()
    assert (made.url, sorted(made.enabled_events)) == (URL, LIVE)
    assert made.api_version == stripe.api_version
    assert said.count("STRIPE_WEBHOOK_SECRET=whsec_") == 1
    again = flask("webhooks", "push").output
    assert f"{URL}  unchanged" in again
    assert "whsec_" not in again
    assert len(endpoints()) == 1


def test_the_test_lane_has_an_endpoint_of_its_own_which_gets_test_clocks(
    flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    said = flask("webhooks", "push", "--mode", "test").output
    (made,) = endpoints("test")
    assert made.url == "https://billing.example.com/api/webhooks/stripe-test"
    assert sorted(made.enabled_events) == sorted(HANDLERS)
    assert "STRIPE_TEST_WEBHOOK_SECRET=whsec_" in said
    assert endpoints() == []


def test_missing_events_are_added_and_none_is_removed(
    here: World, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    create(here, ["invoice.paid", "payout.paid"])
    said = flask("webhooks", "push").output
    (now,) = endpoints()
    assert sorted(now.enabled_events) == sorted([*LIVE, "payout.paid"])
    assert f"{URL}  extended" in said
    assert "    customer.subscription.created\n" in said
    assert "    invoice.paid\n" not in said
    assert "whsec_" not in said


def test_a_dry_run_says_what_is_missing_and_changes_nothing(
    here: World, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    assert f"{URL}  missing" in flask("webhooks", "push", "--dry-run").output
    assert endpoints() == []
    create(here, ["invoice.paid"])
    said = flask("webhooks", "push", "--dry-run").output
    assert f"{URL}  incomplete" in said
    assert "    charge.refunded\n" in said
    assert endpoints()[0].enabled_events == ["invoice.paid"]


def test_an_endpoint_at_an_address_of_an_earlier_system_is_the_portal_s(
    here: World, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    create(here, ["*"], "https://billing.example.com/stripe/webhook")
    assert "https://billing.example.com/stripe/webhook  unchanged" in flask("webhooks", "push").output
    assert len(endpoints()) == 1


def test_another_address_is_named_by_an_option(
    here: World, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    other = "https://hooks.example.com/stripe/webhook"
    create(here, ["invoice.paid"])
    assert f"{other}  created" in flask("webhooks", "push", "--url", other).output
    assert {one.url: len(one.enabled_events) for one in endpoints()} == {URL: 1, other: len(LIVE)}


def test_two_endpoints_that_share_the_events_stay_two(
    here: World, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    create(here, ["invoice.paid"])
    create(here, [kind for kind in LIVE if kind != "invoice.paid"], "https://billing.example.com/stripe/webhook")
    assert "unchanged" in flask("webhooks", "push").output
    assert sorted(len(one.enabled_events) for one in endpoints()) == [1, len(LIVE) - 1]


def test_a_disabled_endpoint_is_extended_and_stays_disabled(
    here: World, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    made = create(here, ["invoice.paid"])
    here.stripe().v1.webhook_endpoints.update(made.id, {"disabled": True})
    assert "It is disabled" in flask("webhooks", "push").output
    (now,) = endpoints()
    assert (now.status, sorted(now.enabled_events)) == ("disabled", LIVE)


@pytest.mark.parametrize("url", ["billing.example.com/api/webhooks/stripe", "ftp://billing.example.com"])
def test_what_is_no_address_is_refused(
    url: str, flask: Callable[..., Any], endpoints: Callable[..., list[Any]]
) -> None:
    refused = flask("webhooks", "push", "--url", url)
    assert refused.exit_code == 1
    assert "https address" in refused.output
    assert endpoints() == []


@pytest.mark.usefixtures("endpoints")
def test_stripe_itself_is_given_no_http_address(
    app: Flask, flask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"base_url": "http://127.0.0.1:8000", "stripe_api_base": "https://api.stripe.com"}
    settings = app.extensions["settings"].model_copy(update=changes)
    monkeypatch.setitem(app.extensions, "settings", settings)
    refused = flask("webhooks", "push")
    assert refused.exit_code == 1
    assert "stripe listen" in refused.output
