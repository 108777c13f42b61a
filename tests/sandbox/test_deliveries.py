"""Webhooks: signed, retried until answered, across a crash; and the faults that tests can cause."""

from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Sandbox, eventually
from tests.sandbox.hook import Hook, hooked
from tests.support.servers import free_port


@pytest.fixture(autouse=True)
def fresh(sandbox: Sandbox, hook: Hook) -> None:
    sandbox.config("deliveries/discard")
    hook.got.clear()
    hook.answers.clear()


def test_a_delivery_is_signed(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    made = api.customers.create({"email": "signed@example.com"})
    eventually(lambda: hook.got)
    body, signature = hook.got[0]
    assert stripe.WebhookSignature.verify_header(body.decode(), signature, sandbox.secret, tolerance=60)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode(), signature, sandbox.secret + "x")
    event = stripe.Webhook.construct_event(body, signature, sandbox.secret)
    assert (event.type, event.data.object.id) == ("customer.created", made.id)
    assert (event.api_version, event.livemode) == ("2026-10-28.endive", False)
    assert event.request.id.startswith("req_")


def test_an_update_says_what_was_before(api: Any, hook: Hook) -> None:
    made = api.customers.create({"name": "Before", "metadata": {"a": "1", "b": "2"}})
    api.customers.update(made.id, {"name": "After", "metadata": {"a": "3"}})
    event = eventually(lambda: hook.named("customer.updated"))[0]
    assert event["data"]["previous_attributes"] == {"name": "Before", "metadata": {"a": "1"}}


def test_a_refused_delivery_is_tried_again(api: Any, hook: Hook) -> None:
    hook.answers = [500, 500]
    api.customers.create({})
    eventually(lambda: len(hook.got) == 3)
    assert len({event["id"] for event in hook.events()}) == 1
    found = api.events.retrieve(hook.events()[0]["id"])
    assert eventually(lambda: api.events.retrieve(found.id).pending_webhooks == 0)


def test_deliveries_survive_a_crash(hook: Hook, tmp_path: Path) -> None:
    crashing = Sandbox(tmp_path, hook.url)
    crashing.start()
    crashing.config("deliveries", hold=True)
    made = crashing.client().customers.create({"name": "Kept"})
    crashing.kill()
    assert hook.got == []
    crashing.start()
    event = eventually(lambda: hook.named("customer.created"))[0]
    assert event["data"]["object"]["id"] == made.id
    assert crashing.client().customers.retrieve(made.id).name == "Kept"
    assert crashing.stop() == 0


def test_an_endpoint_that_is_only_starting_gets_its_events_and_no_line_in_the_log(tmp_path: Path) -> None:
    port = free_port()
    alone = Sandbox(tmp_path, f"http://127.0.0.1:{port}/hook")
    alone.start()
    try:
        for name in ("one", "two", "three"):
            alone.client().customers.create({"name": name})
        alone.config("deliveries/flush")
        with hooked(port) as hook:
            eventually(lambda: len(hook.got) == 3)
            # What was refused first is tried again later than what came after it: no order is promised.
            assert {event["data"]["object"]["name"] for event in hook.events()} == {"one", "two", "three"}
    finally:
        alone.stop()
    log = (tmp_path / "log").read_text()
    assert "evt_" not in log
    assert "Nobody listens" not in log


def test_held_deliveries_wait_for_the_flush(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    sandbox.config("deliveries", hold=True)
    names = [api.customers.create({"name": name}).name for name in ("one", "two", "three")]
    assert hook.got == []
    sandbox.config("deliveries/flush")
    assert [event["data"]["object"]["name"] for event in hook.events()] == names


def test_deliveries_can_come_in_the_wrong_order(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    sandbox.config("deliveries", hold=True, reorder=True)
    for name in ("one", "two", "three"):
        api.customers.create({"name": name})
    sandbox.config("deliveries/flush")
    assert [event["data"]["object"]["name"] for event in hook.events()] == ["three", "two", "one"]


def test_a_delivery_can_come_twice(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    sandbox.config("deliveries", hold=True, duplicate=1)
    api.customers.create({})
    sandbox.config("deliveries/flush")
    assert len(hook.got) == 2
    assert hook.events()[0]["id"] == hook.events()[1]["id"]


def test_a_lost_delivery_is_still_in_the_list_of_events_and_can_be_sent_again(
    sandbox: Sandbox, api: Any, hook: Hook
) -> None:
    sandbox.config("deliveries", hold=True, drop=1)
    made = api.customers.create({})
    sandbox.config("deliveries/flush")
    assert hook.got == []
    event = api.events.list({"type": "customer.created", "limit": 1}).data[0]
    assert event.data.object.id == made.id
    sandbox.config("deliveries")
    assert sandbox.post(f"/v1/events/{event.id}/retry").status_code == 200
    assert eventually(lambda: hook.events())[0]["id"] == event.id


def test_events_that_never_arrived_can_be_asked_for(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    arrived = api.customers.create({})
    eventually(lambda: hook.got)
    sandbox.config("deliveries", hold=True)
    waiting = api.customers.create({})

    def found(delivered: bool) -> list[str]:
        asked = {"type": "customer.created", "delivery_success": delivered, "limit": 100}
        return [event.data.object.id for event in api.events.list(asked).data]

    eventually(lambda: arrived.id in found(True))
    assert waiting.id in found(False)
    assert waiting.id not in found(True)


def test_events_are_found_by_a_pattern(api: Any) -> None:
    api.customers.update(api.customers.create({}).id, {"name": "New"})
    types = [event.type for event in api.events.list({"type": "customer.u*", "limit": 100}).data]
    assert set(types) == {"customer.updated"}


def test_an_endpoint_tells_its_secret_once_and_gets_only_what_it_asked_for(api: Any, hook: Hook) -> None:
    made = api.webhook_endpoints.create({"url": hook.url + "/other", "enabled_events": ["product.created"]})
    assert made.secret.startswith("whsec_")
    assert "secret" not in api.webhook_endpoints.retrieve(made.id)
    api.products.create({"name": "Heard twice"})
    api.customers.create({})
    eventually(lambda: len(hook.got) == 3)
    signed = [signature for body, signature in hook.got if b'"product.created"' in body]
    assert len(signed) == 2
    api.webhook_endpoints.delete(made.id)


def test_a_purchase_raises_the_events_that_stripe_raises(api: Any, hook: Hook, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    eventually(lambda: hook.named("invoice.payment_succeeded"))
    types = [event.type for event in api.events.list({"limit": 30}).data][::-1]
    assert types[types.index("customer.subscription.created") :] == [
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]
    updated = hook.named("customer.subscription.updated") or eventually(
        lambda: hook.named("customer.subscription.updated")
    )
    assert updated[0]["data"]["previous_attributes"] == {"status": "incomplete"}
    assert updated[0]["data"]["object"]["id"] == made.id
