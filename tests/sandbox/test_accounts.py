"""Accounts by key: each has objects, events, endpoints, clocks, idempotency keys and faults of its own."""

from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.conftest import Sandbox, eventually
from tests.sandbox.hook import Hook, hooked


@pytest.fixture(scope="module")
def acme_hook() -> Any:
    with hooked() as server:
        yield server


@pytest.fixture(scope="module")
def acme(process: Sandbox, acme_hook: Hook) -> Sandbox:
    return process.part("acme", acme_hook.url)


@pytest.fixture(autouse=True)
def acme_is_calm(acme: Sandbox) -> Any:
    yield
    acme.config("reset")
    assert acme.problems == []


def permit(sandbox: Sandbox, key: str, **permissions: str) -> requests.Response:
    body: dict[str, Any] = {"key": key, "permissions": permissions}
    return requests.post(f"{sandbox.base}/_config/keys", json=body, timeout=30)


def test_the_account_is_a_part_of_the_key(sandbox: Sandbox, acme: Sandbox, api: Any) -> None:
    made = acme.client().customers.create({"email": "one@example.com"})
    for key in ("sk_test_acme_2", "rk_test_acme_rolled_3"):
        assert acme.client(key).customers.retrieve(made.id).email == "one@example.com"
    for stranger in (api, sandbox.client("sk_test_acmes_1"), acme.client("sk_live_acme_1")):
        with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
            stranger.customers.retrieve(made.id)
    assert made.id not in [one.id for one in api.customers.list().data]


def test_a_key_without_an_account_is_of_the_default_one(process: Sandbox, acme: Sandbox) -> None:
    made = process.client().customers.create({"email": "default@example.com"})
    assert made.id not in [one.id for one in acme.client().customers.list().data]
    named = [requests.get(f"{s.base}/v1/account", headers=s.authorization, timeout=30) for s in (process, acme)]
    assert [answer.json()["id"] for answer in named] == ["acct_1SandboxSandbox01", "acct_acme"]


def test_events_and_their_endpoints_are_of_one_account(
    sandbox: Sandbox, acme: Sandbox, api: Any, hook: Hook, acme_hook: Hook
) -> None:
    made = acme.client().products.create({"name": "Of Acme"})
    eventually(lambda: made.id in acme_hook.objects("product.created"))
    other = api.products.create({"name": "Of another"})
    eventually(lambda: other.id in hook.objects("product.created"))
    assert made.id not in hook.objects("product.created")
    assert other.id not in acme_hook.objects("product.created")
    about = [event["data"]["object"].get("id") for event in acme.newest_events()]
    assert (made.id in about, other.id in about) == (True, False)


def test_an_id_of_ones_own_and_an_idempotency_key_mean_two_things_in_two_accounts(acme: Sandbox, api: Any) -> None:
    for client, name in ((api, "Mine"), (acme.client(), "Theirs")):
        made = client.products.create({"id": "pro", "name": name}, {"idempotency_key": "once"})
        assert made.name == name
        assert client.products.retrieve("pro").name == name


def test_clocks_are_of_one_account(acme: Sandbox, api: Any) -> None:
    clock = acme.client().test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    assert clock.id in [one.id for one in acme.client().test_helpers.test_clocks.list().data]
    assert api.test_helpers.test_clocks.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        api.customers.create({"test_clock": clock.id})


def test_faults_are_of_one_account(acme: Sandbox, api: Any) -> None:
    acme.config("failures", next=1, status=500, path="/v1/customers")
    assert api.customers.list().data == []
    with pytest.raises(stripe.APIError):
        acme.client().customers.list()
    acme.problems.clear()  # Stripe's specification has no such error


def test_deliveries_are_held_for_one_account(acme: Sandbox, api: Any, hook: Hook, acme_hook: Hook) -> None:
    acme.config("deliveries", hold=True)
    held = acme.client().customers.create({"name": "Held"})
    sent = api.customers.create({"name": "Sent"})
    eventually(lambda: sent.id in hook.objects("customer.created"))
    assert held.id not in acme_hook.objects("customer.created")
    acme.config("deliveries/flush")
    assert held.id in acme_hook.objects("customer.created")


def test_a_hosted_page_finds_its_account_by_its_url(acme: Sandbox) -> None:
    made = acme.client().checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "success_url": "http://shop.example/done"}
    )
    page = requests.get(made.url, timeout=30)
    assert (page.status_code, 'name="number"' in page.text) == (200, True)


def test_wiping_deletes_what_the_account_has_and_resetting_does_not(process: Sandbox, api: Any) -> None:
    gone = process.part("wiped", "http://127.0.0.1:9/hook")
    gone.config("deliveries", hold=True)
    gone.client().customers.create({"email": "gone@example.com"})
    kept = api.customers.create({})
    gone.config("reset")
    assert len(gone.client().customers.list().data) == 1
    gone.config("wipe")
    for what in ("customers", "events", "webhook_endpoints"):
        assert getattr(gone.client(), what).list().data == []
    assert api.customers.retrieve(kept.id).id == kept.id


def test_a_saved_copy_is_restored_in_its_account_alone(acme: Sandbox, sandbox: Sandbox) -> None:
    before = acme.client().customers.create({"name": "Before"})
    saved = acme.config("save")["saved"]
    after = acme.client().customers.create({"name": "After"})
    acme.client().customers.update(before.id, {"name": "Changed"})
    acme.config("restore", saved=saved)
    assert acme.client().customers.retrieve(before.id).name == "Before"
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        acme.client().customers.retrieve(after.id)
    address = f"{sandbox.base}/_config/restore"
    answer = requests.post(address, json={"saved": saved}, headers=sandbox.authorization, timeout=30)
    assert answer.status_code == 404


def test_a_fixture_file_of_the_cli_seeds_an_account(acme: Sandbox) -> None:
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    price = {"product": "${pro:id}", "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    fixtures = [
        {"name": "ann", "path": "/v1/customers", "method": "post", "params": {"email": "ann@example.com", **card}},
        {"name": "pro", "path": "/v1/products", "method": "post", "params": {"name": "${.env:NAME_UNSET|Pro}"}},
        {"name": "price", "path": "/v1/prices", "method": "post", "params": price},
        {
            "name": "plan",
            "path": "/v1/subscriptions",
            "method": "post",
            "params": {"customer": "${ann:id}", "items": [{"price": "${price:id}"}]},
        },
        {"name": "again", "path": "/v1/subscriptions/${plan:id}", "method": "get"},
        {"name": "item", "path": "/v1/subscription_items/${plan:items.data.0.id}", "method": "get"},
        {
            "name": "refused",
            "path": "/v1/customers/cus_none",
            "method": "get",
            "expected_error_type": "invalid_request_error",
        },
    ]
    made = acme.config("seed", _meta={"template_version": 0}, fixtures=fixtures)
    assert (made["pro"]["name"], made["again"]["status"]) == ("Pro", "active")
    assert made["item"]["price"]["unit_amount"] == 900
    assert acme.client().subscriptions.retrieve(made["plan"]["id"]).customer == made["ann"]["id"]


@pytest.mark.parametrize(
    ("fixture", "words"),
    [
        ({"name": "x", "path": "/v1/customers/cus_none", "method": "get"}, "x: No such customer"),
        ({"name": "x", "path": "/v1/customers/${ann:id}"}, "${ann:id} finds nothing"),
        ({"name": "x", "path": "/v1/customers", "parms": {}}, "unknown field: parms"),
    ],
)
def test_a_fixture_that_fails_is_named(acme: Sandbox, fixture: dict[str, Any], words: str) -> None:
    address = f"{acme.base}/_config/seed"
    answer = requests.post(address, json={"fixtures": [fixture]}, headers=acme.authorization, timeout=30)
    assert (answer.status_code, words in answer.json()["error"]) == (400, True)


def test_a_restricted_key_may_do_what_its_permissions_say(acme: Sandbox) -> None:
    assert permit(acme, "rk_test_acme_few", customer="read", checkout_session="write").status_code == 200
    few, made = acme.client("rk_test_acme_few"), acme.client().customers.create({})
    assert few.customers.retrieve(made.id).id == made.id
    few.checkout.sessions.list()
    with pytest.raises(stripe.PermissionError, match="'rak_customer_write' permission would allow") as refused:
        few.customers.create({})
    assert refused.value.http_status == 403
    assert "rk_test_acme_few" not in str(refused.value)
    with pytest.raises(stripe.PermissionError, match="rak_invoice_read"):
        few.invoices.list()
    assert acme.client("rk_test_acme_other").products.list().object == "list"  # one without permissions may all
    acme.problems.clear()


def test_a_permission_that_does_not_exist_is_refused(acme: Sandbox) -> None:
    for key, permissions in (
        ("rk_test_acme_few", {"customres": "read"}),
        ("rk_test_acme_few", {"customer": "all"}),
        ("sk_test_acme_1", {"customer": "read"}),
        ("rk_test_", {"customer": "read"}),
    ):
        assert permit(acme, key, **permissions).status_code == 400


def test_accounts_and_their_deliveries_survive_a_restart(tmp_path: Path) -> None:
    with hooked() as hook:
        running = Sandbox(tmp_path, "http://127.0.0.1:9/hook")
        running.start()
        mine = running.part("kept", hook.url)
        mine.config("deliveries", hold=True)
        made = mine.client().customers.create({"name": "Kept"})
        permit(running, "rk_test_kept_1", customer="read")
        running.kill()
        running.start()
        eventually(lambda: made.id in hook.objects("customer.created"))
        assert mine.client().customers.retrieve(made.id).name == "Kept"
        with pytest.raises(stripe.PermissionError):
            mine.client("rk_test_kept_1").products.list()
        running.stop()


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:8001"])
def test_a_host_name_of_another_site_is_refused(sandbox: Sandbox, host: str) -> None:
    for path in ("/v1/customers", "/_config", "/healthz"):
        assert requests.get(sandbox.base + path, headers={"Host": host}, timeout=30).status_code == 403


@pytest.mark.parametrize("host", ["sandbox:8001", "acme.localhost:8001", "[::1]:8001", "api.stripe.com"])
def test_a_host_name_that_no_other_site_can_have_is_served(sandbox: Sandbox, host: str) -> None:
    assert requests.get(f"{sandbox.base}/healthz", headers={"Host": host}, timeout=30).text == "ok"


def test_a_page_of_another_site_cannot_press_a_switch(sandbox: Sandbox, api: Any) -> None:
    kept = api.customers.create({})
    for sent in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        headers = sandbox.authorization | sent
        assert requests.post(f"{sandbox.base}/_config/wipe", headers=headers, timeout=30).status_code == 403
    assert api.customers.retrieve(kept.id).id == kept.id
