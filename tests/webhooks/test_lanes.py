"""What the webhook endpoints take and refuse: signatures are always on."""

import json
import time
from typing import Any

import pytest
import requests
import stripe
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import StripeEvent
from portal.webhooks.handlers import HANDLERS
from portal.webhooks.views import LIVE_PATHS, TEST_PATH
from tests.support.servers import SECRETS
from tests.support.world import World

LIVE_PATH = LIVE_PATHS[0]


def event(**changes: Any) -> dict[str, Any]:
    """An event that has no handler."""
    return {
        "id": "evt_1",
        "object": "event",
        "type": "product.created",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "livemode": True,
        "data": {"object": {"id": "prod_1", "object": "product", "metadata": {}}},
    } | changes


def post(
    http: FlaskClient, body: Any, *, path: str = LIVE_PATH, secret: str = SECRETS["live"], at: int | None = None
):
    """Deliver it as Stripe does."""
    text = body if isinstance(body, str) else json.dumps(body)
    header = stripe.WebhookSignature.generate_signature_header(text, secret, at)
    return http.post(path, data=text, headers={"Stripe-Signature": header, "Content-Type": "application/json"})


def stored() -> int:
    return db.session.execute(select(func.count()).select_from(StripeEvent)).scalar_one()


@pytest.mark.parametrize("path", LIVE_PATHS)
def test_every_address_of_the_live_lane_takes_a_signed_event(app: Flask, http: FlaskClient, path: str) -> None:
    answer = post(http, event(), path=path)
    assert (answer.status_code, answer.json) == (200, {"success": True, "received": True, "status": "ignored"})


def test_the_test_lane_has_its_own_secret_and_mode(app: Flask, http: FlaskClient) -> None:
    body = event(livemode=False)
    assert post(http, body, path=TEST_PATH, secret=SECRETS["test"]).json["status"] == "ignored"
    assert post(http, body, path=TEST_PATH, secret=SECRETS["live"]).status_code == 400
    assert stored() == 1


def test_the_same_event_again_is_a_duplicate(app: Flask, http: FlaskClient) -> None:
    post(http, event())
    assert post(http, event()).json["status"] == "duplicate"
    assert stored() == 1


NOW = int(time.time())
FORGED = {
    "no header": {},
    "an empty header": {"Stripe-Signature": ""},
    "words": {"Stripe-Signature": "hello"},
    "no time": {"Stripe-Signature": "v1=" + "a" * 64},
    "no signature": {"Stripe-Signature": f"t={NOW}"},
    "a wrong signature": {"Stripe-Signature": f"t={NOW},v1=" + "a" * 64},
    "an old scheme": {"Stripe-Signature": f"t={NOW},v0=" + "a" * 64},
    "a negative time": {"Stripe-Signature": "t=-1,v1=" + "a" * 64},
    "a time that is no number": {"Stripe-Signature": "t=now,v1=" + "a" * 64},
    "an endless time": {"Stripe-Signature": "t=" + "9" * 400 + ",v1=" + "a" * 64},
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED.keys())
def test_a_forged_delivery_is_refused_and_leaves_nothing(app: Flask, http: FlaskClient, headers: dict) -> None:
    answer = http.post(LIVE_PATH, data=json.dumps(event()), headers=headers)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "bad_signature"
    assert stored() == 0


@pytest.mark.parametrize(("offset", "status"), [(-299, 200), (-301, 400), (299, 200), (302, 400), (86400, 400)])
def test_a_delivery_is_good_for_five_minutes_either_way(
    app: Flask, http: FlaskClient, offset: int, status: int
) -> None:
    assert post(http, event(), at=int(time.time()) + offset).status_code == status


def test_a_body_changed_on_the_way_is_refused(app: Flask, http: FlaskClient) -> None:
    text = json.dumps(event())
    header = stripe.WebhookSignature.generate_signature_header(text, SECRETS["live"])
    answer = http.post(LIVE_PATH, data=text.replace("prod_1", "prod_2"), headers={"Stripe-Signature": header})
    assert answer.status_code == 400


def test_while_a_secret_is_rolled_both_are_good(app: Flask, http: FlaskClient, monkeypatch) -> None:
    settings = app.extensions["settings"].model_copy(update={"stripe_webhook_secret": ("whsec_new", "whsec_old")})
    monkeypatch.setitem(app.extensions, "settings", settings)
    assert post(http, event(id="evt_1"), secret="whsec_old").status_code == 200
    assert post(http, event(id="evt_2"), secret="whsec_new").status_code == 200
    assert post(http, event(id="evt_3"), secret="whsec_other").status_code == 400


def test_without_a_secret_the_lane_is_closed_and_the_log_names_the_setting(
    app: Flask, http: FlaskClient, monkeypatch, caplog
) -> None:
    settings = app.extensions["settings"].model_copy(update={"stripe_webhook_secret": ()})
    monkeypatch.setitem(app.extensions, "settings", settings)
    assert post(http, event()).status_code == 503
    assert stored() == 0
    assert "STRIPE_WEBHOOK_SECRET" in caplog.text


@pytest.mark.parametrize(("secrets", "status"), [((), 200), ((SECRETS["live"],), 400)])
def test_unverified_events_are_taken_only_where_no_secret_is_set(
    app: Flask, http: FlaskClient, monkeypatch, secrets: tuple[str, ...], status: int
) -> None:
    settings = app.extensions["settings"].model_copy(
        update={"stripe_webhook_secret": secrets, "allow_unverified_stripe": True}
    )
    monkeypatch.setitem(app.extensions, "settings", settings)
    assert http.post(LIVE_PATH, data=json.dumps(event())).status_code == status


def test_the_log_calls_an_event_verified_only_where_it_was(
    app: Flask, http: FlaskClient, monkeypatch, caplog
) -> None:
    settings = app.extensions["settings"].model_copy(
        update={"stripe_webhook_secret": (), "allow_unverified_stripe": True}
    )
    body = event(type="customer.updated", data={"object": {"id": "cus_1", "object": "customer"}})
    with monkeypatch.context() as patched:
        patched.setitem(app.extensions, "settings", settings)
        assert http.post(LIVE_PATH, data=json.dumps(body)).status_code == 200
    assert "stripe_webhook_not_verified" in caplog.text
    assert "stripe_webhook_verified" not in caplog.text
    caplog.clear()
    post(http, body | {"id": "evt_2"})
    assert "stripe_webhook_verified" in caplog.text


def test_an_event_of_the_other_mode_is_refused(app: Flask, http: FlaskClient) -> None:
    answer = post(http, event(livemode=False))
    assert answer.status_code == 400
    assert answer.json["errors"] == {"livemode": "wrong lane"}
    assert stored() == 0


NO_EVENTS = ["", "[]", "[1]", "null", '"x"', "{", "{}", '{"id": "evt_1"}', "1" * 30]


@pytest.mark.parametrize("body", [*NO_EVENTS, json.dumps(event(id=7)), json.dumps(event(data={"object": []}))])
def test_a_signed_body_that_is_no_event_is_refused(app: Flask, http: FlaskClient, body: str) -> None:
    answer = post(http, body)
    assert answer.status_code == 400
    assert stored() == 0


def test_a_mebibyte_and_a_byte_is_too_large(app: Flask, http: FlaskClient) -> None:
    padded = json.dumps(event()).ljust(1024 * 1024)
    assert post(http, padded).status_code == 200
    assert post(http, padded + " ").status_code == 413


@pytest.mark.parametrize(("more", "status"), [(-1, 200), (0, 200), (1, 413), (300_000, 413)])
def test_a_chunked_delivery_has_the_same_limit(here: World, more: int, status: int) -> None:
    """Without a length nobody knows beforehand; cut off at the limit it would look forged."""
    text = json.dumps(event()).ljust(1024 * 1024 + more)
    header = stripe.WebhookSignature.generate_signature_header(text, SECRETS["live"])
    sent = (text[at : at + 65536].encode() for at in range(0, len(text), 65536))
    answer = requests.post(here.base + LIVE_PATH, data=sent, headers={"Stripe-Signature": header}, timeout=30)
    assert answer.status_code == status
    if status == 413:
        assert answer.json()["code"] == "request_entity_too_large"


NO_IDS = [
    "../charges",
    "..",
    ".",
    "ch_1/refunds",
    "ch_1?expand=x",
    "ch_1#",
    "ch_1%2Frefunds",
    "/",
    "-",
    "ch\n1",
    "chß/",
]


@pytest.mark.parametrize("kind", sorted(HANDLERS.keys() - {"test_helpers.test_clock.deleted"}))  # asks nothing
def test_an_event_about_what_has_no_id_is_parked(app: Flask, http: FlaskClient, kind: str) -> None:
    for number, bad in enumerate(NO_IDS):
        about = {"customer": bad, "subscription": bad, "invoice": bad}
        thing = {"id": bad, "object": "charge", "metadata": {}} | about
        answer = post(http, event(id=f"evt_{number}", type=kind, data={"object": thing}))
        assert (answer.status_code, answer.json["status"]) == (200, "parked"), (kind, bad)


def test_an_object_stamped_with_the_other_mode_is_ignored(app: Flask, http: FlaskClient) -> None:
    thing = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "metadata": {"portal_mode": "test"}}
    body = event(type="customer.subscription.updated", data={"object": thing})
    assert post(http, body).json["status"] == "ignored"


def test_the_signature_and_the_secret_are_in_no_log(app: Flask, http: FlaskClient, caplog) -> None:
    post(http, event(type="customer.updated"))
    post(http, event(), secret="whsec_wrong")
    assert "stripe_webhook_verified" in caplog.text
    assert "stripe_webhook_invalid_signature" in caplog.text
    assert "v1=" not in caplog.text
    assert "whsec_" not in caplog.text
